#include "testing/stage_run.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>

#include "pipeline/config.h"

namespace penstock::testing {
namespace {

constexpr const char* kSource = "given_chunks";
constexpr const char* kCollector = "kept_chunks";
constexpr const char* kAssembler = "given_batches";
constexpr const char* kSink = "no_output";

// Gives copies of what it was given, in one lane.
class GivenChunks final : public Source {
 public:
  explicit GivenChunks(const std::vector<Chunk>& chunks) : chunks_(chunks) {}

  int lanes() const override { return 1; }
  std::optional<Chunk> next(int, const std::stop_token&) override {
    return next_ < chunks_.size() ? std::optional(copy_of(chunks_[next_++])) : std::nullopt;
  }

 private:
  const std::vector<Chunk>& chunks_;
  std::size_t next_ = 0;
};

// Keeps every chunk and passes on an empty one.
class KeptChunks final : public Stage {
 public:
  explicit KeptChunks(std::vector<Chunk>& kept) : kept_(kept) {}

  Chunk process_chunk(Chunk chunk) override {
    kept_.push_back(copy_of(chunk));
    return continue_chunk<TokenChunk>(info(chunk));
  }

 private:
  std::vector<Chunk>& kept_;
};

// Gives the n-th batch for the n-th chunk.
class GivenBatches final : public BatchAssembler {
 public:
  explicit GivenBatches(const std::vector<Batch>& batches) : batches_(batches) {}

  void add(const TokenChunk&, std::vector<Batch>& full) override {
    if (next_ < batches_.size()) {
      full.push_back(batches_[next_++]);
    }
  }
  void finish(std::vector<Batch>&) override {}
  TokenAccount account() const override { return {}; }

 private:
  const std::vector<Batch>& batches_;
  std::size_t next_ = 0;
};

class NoOutput final : public Sink {
 public:
  void consume(std::shared_ptr<const Batch>, Completion done) override { done.done(); }
};

class KeptBatches final : public Sink {
 public:
  explicit KeptBatches(std::vector<Batch>& kept) : kept_(kept) {}

  void consume(std::shared_ptr<const Batch> batch, Completion done) override {
    kept_.push_back(*batch);
    done.done();
  }

 private:
  std::vector<Batch>& kept_;
};

StageType fake(const char* name, Payload input, Payload output, Factory factory) {
  return {name, "Stands in a test.", input, output, Ordering::kInOrder, {}, std::move(factory)};
}

StageType given_chunks(const std::vector<Chunk>& chunks, Payload payload) {
  return fake(kSource,
              Payload::kNone,
              payload,
              SourceFactory([&chunks](const StageConfig&, const BuildContext&) {
                return std::make_unique<GivenChunks>(chunks);
              }));
}

StageType kept_chunks(std::vector<Chunk>& kept, Payload payload) {
  return fake(kCollector,
              payload,
              Payload::kTokens,
              StageFactory([&kept](const StageConfig&, const BuildContext&) -> InstanceFactory {
                return [&kept] { return std::make_unique<KeptChunks>(kept); };
              }));
}

StageType given_batches(const std::vector<Batch>& batches) {
  return fake(
      kAssembler,
      Payload::kTokens,
      Payload::kBatch,
      AssemblerFactory([&batches](const StageConfig&, const BuildContext& context) {
        if (!batches.empty()) {
          const Batch& first = batches.front();
          context.stream.batch_shape = {first.batch_size, first.sequence_length, first.row_length};
        }
        return std::make_unique<GivenBatches>(batches);
      }));
}

StageType kept_batches(std::vector<Batch>& kept) {
  return fake(kSink,
              Payload::kBatch,
              Payload::kNone,
              SinkFactory([&kept](const StageConfig&, const BuildContext&) {
                return std::make_unique<KeptBatches>(kept);
              }));
}

StageType no_output() {
  return fake(kSink,
              Payload::kBatch,
              Payload::kNone,
              SinkFactory([](const StageConfig&, const BuildContext&) {
                return std::make_unique<NoOutput>();
              }));
}

const StageType& find_type(const StageRegistry& registry, const std::string& stage) {
  const std::string name = stage.substr(0, stage.find(':'));
  const StageType* type = registry.find(name);
  if (type == nullptr) {
    throw std::invalid_argument("there is no stage '" + name + "'");
  }
  return *type;
}

std::vector<Chunk> chunk_for_each(const std::vector<Batch>& batches) {
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    chunks.emplace_back(TokenChunk());
  }
  return chunks;
}

RunSummary run_chain(const StageRegistry& registry,
                     const std::vector<std::string>& stages,
                     int threads) {
  std::string yaml = "on_error: skip\nthreads: " + std::to_string(threads) + "\npipeline:\n";
  for (const std::string& stage : stages) {
    yaml += "- " + stage + "\n";
  }
  return Pipeline(parse_config(yaml, "test", registry), registry).run();
}

}  // namespace

StageRun run_source(const StageRegistry& registry, const std::string& stage, int threads) {
  StageRun run;
  const std::vector<Batch> none;
  StageRegistry with_fakes = registry;
  with_fakes.add(kept_chunks(run.chunks, find_type(registry, stage).output));
  with_fakes.add(given_batches(none));
  with_fakes.add(no_output());
  run.summary = run_chain(with_fakes, {stage, kCollector, kAssembler, kSink}, threads);
  return run;
}

StageRun run_stage(const StageRegistry& registry,
                   const std::string& stage,
                   const std::vector<Chunk>& chunks,
                   int threads) {
  StageRun run;
  const StageType& type = find_type(registry, stage);
  const std::vector<Batch> none;
  StageRegistry with_fakes = registry;
  with_fakes.add(given_chunks(chunks, type.input));
  with_fakes.add(kept_chunks(run.chunks, type.output));
  with_fakes.add(given_batches(none));
  with_fakes.add(no_output());
  run.summary = run_chain(with_fakes, {kSource, stage, kCollector, kAssembler, kSink}, threads);
  return run;
}

std::vector<Batch> run_batch_stage(const StageRegistry& registry,
                                   const std::string& stage,
                                   const std::vector<Batch>& batches) {
  const std::vector<Chunk> chunks = chunk_for_each(batches);
  std::vector<Batch> kept;
  StageRegistry with_fakes = registry;
  with_fakes.add(given_chunks(chunks, Payload::kTokens));
  with_fakes.add(given_batches(batches));
  with_fakes.add(kept_batches(kept));
  run_chain(with_fakes, {kSource, kAssembler, stage, kSink}, 2);
  return kept;
}

StageRun run_sink(const StageRegistry& registry,
                  const std::string& stage,
                  const std::vector<Batch>& batches,
                  int threads) {
  const std::vector<Chunk> chunks = chunk_for_each(batches);
  StageRun run;
  StageRegistry with_fakes = registry;
  with_fakes.add(given_chunks(chunks, Payload::kTokens));
  with_fakes.add(given_batches(batches));
  run.summary = run_chain(with_fakes, {kSource, kAssembler, stage}, threads);
  return run;
}

}  // namespace penstock::testing
