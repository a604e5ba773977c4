// A plug-in of stages that break their promises.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

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
[[noreturn]] void get_stuck() {
  ::kill(::getpid(), SIGINT);
  ::kill(::getpid(), SIGTERM);
  while (true) {
    ::pause();
  }
}

class Stuck final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit Stuck(const StageConfig&) {}
  DocumentChunk process(DocumentChunk) override { get_stuck(); }
};

class WrongSource final : public penstock::Source {
 public:
  using Output = DocumentChunk;
  explicit WrongSource(const StageConfig&) {}
  int lanes() const override { return 1; }
  std::optional<Chunk> next(int, const std::stop_token&) override { return TokenChunk(); }
};

// A source with the fault that it is told to have; else it gives nothing.
class BadSource final : public penstock::Source {
 public:
  using Output = DocumentChunk;
  explicit BadSource(const StageConfig& config) : fault_(config.text("fault")) {}

  int lanes() const override {
    if (fault_ == "lanes_throw") {
      throw std::runtime_error("nobody has counted them");
    }
    return fault_ == "no_lanes" ? 0 : fault_ == "negative_lanes" ? -1 : 1;
  }
  std::optional<Chunk> next(int, const std::stop_token&) override {
    if (fault_ == "throws_number") {
      throw 42;
    }
    if (fault_ == "stuck") {
      get_stuck();
    }
    return std::nullopt;
  }
  std::optional<std::int64_t> total_bytes() const override {
    if (fault_ == "size_throws") {
      throw std::runtime_error("the disk is gone");
    }
    return 1;
  }

 private:
  const std::string fault_;
};

// Takes its time, some milliseconds of a processor for each chunk.
class SlowSource final : public penstock::Source {
 public:
  using Output = DocumentChunk;
  explicit SlowSource(const StageConfig&) {}

  int lanes() const override { return 1; }
  std::optional<Chunk> next(int, const std::stop_token&) override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
    while (std::chrono::steady_clock::now() < end) {
    }
    return ++given_ > 10 ? std::nullopt : std::optional<Chunk>(DocumentChunk());
  }

 private:
  int given_ = 0;
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
  explicit ThrowsAtBatch(const StageConfig& config) : number_(config.boolean("number")) {}
  Batch process(Batch batch) override {
    if (batch.index == 1) {
      if (number_) {
        throw 42;
      }
      throw std::runtime_error("the batch is ugly");
    }
    return batch;
  }

 private:
  const bool number_;
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

// A sink with the fault that it is told to have.
class BadSink final : public penstock::Sink {
 public:
  explicit BadSink(const StageConfig& config) : fault_(config.text("fault")) {
    if (fault_ == "stuck_when_made") {
      get_stuck();
    }
  }

  void consume(std::shared_ptr<const Batch> batch, penstock::Completion done) override {
    if (fault_ == "throws_number") {
      throw 42;
    }
    if (fault_ == "results_throw") {
      done.done();
      return;
    }
    kept_.push_back(std::move(done));
    if (fault_ == "keeps_and_throws" && batch->index == 1) {
      throw std::runtime_error("the table is locked");
    }
    if (fault_ == "keeps" && batch->index == 0) {
      ::kill(::getpid(), SIGINT);
      has_kept_ = true;
      has_kept_.notify_all();
    }
  }

  // Asks a second time once consume() has returned, so that nobody waits for the deadline.
  void cancel() noexcept override {
    if (fault_ == "keeps") {
      has_kept_.wait(false);
      ::kill(::getpid(), SIGTERM);
    }
  }

  std::vector<penstock::Result> results() const override {
    throw std::runtime_error("the sum is lost");
  }

 private:
  const std::string fault_;
  std::vector<penstock::Completion> kept_;
  std::atomic<bool> has_kept_{false};
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

class DeviceStuck final : public penstock::gpu::DeviceStage {
 public:
  void enqueue(const penstock::gpu::DeviceBatch&, penstock::gpu::DeviceStream) override {
    get_stuck();
  }
  std::vector<penstock::Result> results() override { return {}; }
};

// A parallel stage that takes documents and declares this output.
void add_stage_of_documents(penstock::StageRegistry& registry,
                            const std::string& name,
                            const std::string& summary,
                            Payload output,
                            const InstanceFactory& make) {
  registry.add(
      {name,
       summary,
       Payload::kDocuments,
       output,
       penstock::Ordering::kParallel,
       {},
       penstock::StageFactory([make](const StageConfig&, const BuildContext&) { return make; })});
}

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_transform<ThrowsAt>(
      "throws_at",
      "Throws.",
      {Option::integer("record", "Where."), Option::boolean("number", "42.").or_else(false)});
  add_stage_of_documents(registry, "wrong_payload", "Declares tokens.", Payload::kTokens, [] {
    return std::make_unique<WrongPayload>();
  });
  registry.add_transform<LosesPosition>("loses_position", "Forgets.", {});
  registry.add_transform<UnmakeableTransform>(
      "unmakeable", "Cannot be made.", {Option::integer("size", "Is wrong.")});
  registry.add_transform<Stuck>("stuck", "Never returns.", {});
  registry.add_source<WrongSource>("wrong_source", "Declares documents.", {});
  registry.add_batch_stage<WrongShape>("wrong_shape", "Loses a token.", {});
  registry.add_batch_stage<ThrowsAtBatch>(
      "throws_at_batch", "Throws.", {Option::boolean("number", "42.").or_else(false)});
  registry.add_source<BadSource>("bad_source", "Has a fault.", {Option::text("fault", "Which.")});
  registry.add_source<SlowSource>("slow_source", "Takes its time.", {});
  registry.add_sink<BadSink>("bad_sink", "Has a fault.", {Option::text("fault", "Which.")});
  add_stage_of_documents(registry,
                         "gives_no_maker",
                         "Gives no instances' factory.",
                         Payload::kDocuments,
                         InstanceFactory());
  add_stage_of_documents(
      registry, "gives_no_instance", "Gives no instance.", Payload::kDocuments, [] {
        return nullptr;
      });
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
  penstock::gpu::add_device_stage(
      registry,
      {"device_stuck",
       "Never returns.",
       {},
       [](const StageConfig&, const penstock::gpu::DeviceStageContext&) {
         return std::make_unique<DeviceStuck>();
       },
       {}});
}
