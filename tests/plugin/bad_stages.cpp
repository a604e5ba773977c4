// A plug-in of stages that break their promises.

#include <atomic>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <utility>

#include <unistd.h>

#include "gpu/device_stage_type.h"
#include "pipeline/plugin.h"

namespace {

using penstock::Batch;
using penstock::BuildContext;
using penstock::Chunk;
using penstock::DocumentChunk;
using penstock::InstanceFactory;
using penstock::Option;
using penstock::Payload;
using penstock::StageConfig;
using penstock::TokenChunk;

// Throws at the chunk whose first record is `record`.
class ThrowsAt final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit ThrowsAt(const StageConfig& config)
      : record_(config.integer("record")), number_(config.boolean("number")) {}

  DocumentChunk process(DocumentChunk chunk) override {
    if (chunk.position.record == record_) {
      if (number_) {
        throw 42;
      }
      throw std::runtime_error("the dictionary is full");
    }
    return chunk;
  }

 private:
  const std::int64_t record_;
  const bool number_;
};

// Declares tokens and returns what it got.
class WrongPayload final : public penstock::Stage {
 public:
  Chunk process_chunk(Chunk chunk) override { return chunk; }
};

// Forgets where the chunk came from.
class LosesPosition final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit LosesPosition(const StageConfig&) {}
  DocumentChunk process(DocumentChunk) override { return {}; }
};

// Has its process asked to stop, twice so that nobody waits for the deadline, and never returns.
class Stuck final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit Stuck(const StageConfig&) {}
  DocumentChunk process(DocumentChunk) override {
    ::kill(::getpid(), SIGINT);
    ::kill(::getpid(), SIGTERM);
    while (true) {
      ::pause();
    }
  }
};

class WrongSource final : public penstock::Source {
 public:
  using Output = DocumentChunk;
  explicit WrongSource(const StageConfig&) {}
  int lanes() const override { return 1; }
  std::optional<Chunk> next(int, const std::stop_token&) override { return TokenChunk(); }
};

class WrongShape final : public penstock::BatchStage {
 public:
  explicit WrongShape(const StageConfig&) {}
  Batch process(Batch batch) override {
    batch.tokens.pop_back();
    return batch;
  }
};

class ThrowsAtBatch final : public penstock::BatchStage {
 public:
  explicit ThrowsAtBatch(const StageConfig&) {}
  Batch process(Batch batch) override {
    if (batch.index == 1) {
      throw std::runtime_error("the batch is ugly");
    }
    return batch;
  }
};

class UnmakeableTransform final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit UnmakeableTransform(const StageConfig& config) {
    throw config.error("size", "is too small");
  }
  DocumentChunk process(DocumentChunk chunk) override { return chunk; }
};

class Drops final : public penstock::Sink {
 public:
  explicit Drops(const StageConfig&) {}
  void consume(std::shared_ptr<const Batch>, penstock::Completion) override {}
};

class CannotBeMade final : public penstock::Sink {
 public:
  explicit CannotBeMade(const StageConfig&) { throw std::runtime_error("no licence"); }
  void consume(std::shared_ptr<const Batch>, penstock::Completion) override {}
};

class DeviceThrows final : public penstock::gpu::DeviceStage {
 public:
  void enqueue(const penstock::gpu::DeviceBatch&, penstock::gpu::DeviceStream) override {
    throw std::runtime_error("the kernel is lost");
  }
  std::vector<penstock::Result> results() override { return {}; }
};

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_transform<ThrowsAt>(
      "throws_at",
      "Throws.",
      {Option::integer("record", "Where."), Option::boolean("number", "42.").or_else(false)});
  registry.add(
      {"wrong_payload",
       "Declares tokens.",
       Payload::kDocuments,
       Payload::kTokens,
       penstock::Ordering::kParallel,
       {},
       penstock::StageFactory([](const StageConfig&, const BuildContext&) -> InstanceFactory {
         return [] { return std::make_unique<WrongPayload>(); };
       })});
  registry.add_transform<LosesPosition>("loses_position", "Forgets.", {});
  registry.add_transform<UnmakeableTransform>(
      "unmakeable", "Cannot be made.", {Option::integer("size", "Is wrong.")});
  registry.add_transform<Stuck>("stuck", "Never returns.", {});
  registry.add_source<WrongSource>("wrong_source", "Declares documents.", {});
  registry.add_batch_stage<WrongShape>("wrong_shape", "Loses a token.", {});
  registry.add_batch_stage<ThrowsAtBatch>("throws_at_batch", "Throws.", {});
  registry.add_sink<Drops>("drops", "Drops completions.", {});
  registry.add_sink<CannotBeMade>("cannot_be_made", "Cannot be made.", {});
  registry.add(
      {"gives_nothing",
       "Gives no sink.",
       Payload::kBatch,
       Payload::kNone,
       penstock::Ordering::kInOrder,
       {},
       penstock::SinkFactory([](const StageConfig&, const BuildContext&) { return nullptr; })});
  penstock::gpu::add_device_stage(
      registry,
      {"device_throws",
       "Throws.",
       {},
       [](const StageConfig&, const penstock::gpu::DeviceStageContext&) {
         return std::make_unique<DeviceThrows>();
       },
       {}});
}
