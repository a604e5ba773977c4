#include "pipeline/read_batches.h"

#include <stdexcept>
#include <stop_token>
#include <utility>

#include "pipeline/pipeline.h"
#include "pipeline/sink.h"

namespace penstock {
namespace {

using Batches = std::vector<std::shared_ptr<const Batch>>;

// Keeps the first batches, and then stops the run.
class KeepBatches final : public Sink {
 public:
  // `kept` outlives the run.
  KeepBatches(std::int64_t count, std::stop_source stop, Batches& kept)
      : count_(count), stop_(std::move(stop)), kept_(kept) {}

  void consume(std::shared_ptr<const Batch> batch, Completion done) override {
    if (std::ssize(kept_) < count_) {
      kept_.push_back(std::move(batch));
    }
    if (std::ssize(kept_) == count_) {
      stop_.request_stop();
    }
    done.done();
  }

 private:
  const std::int64_t count_;
  std::stop_source stop_;
  Batches& kept_;
};

}  // namespace

Batches read_batches(const PipelineConfig& config,
                     const StageRegistry& registry,
                     const std::vector<std::string>& paths,
                     std::int64_t count) {
  PipelineConfig other = config;
  StageConfig& source = other.stages.front();
  if (!source.values().contains("paths")) {
    throw std::runtime_error("the source '" + source.stage() +
                             "' has no paths that could be replaced");
  }
  source = source.with("paths", paths);
  Batches kept;
  const std::stop_source stop;
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<KeepBatches>(count, stop, kept));
  Pipeline(other, registry, std::move(sinks)).run(stop.get_token());
  return kept;
}

}  // namespace penstock
