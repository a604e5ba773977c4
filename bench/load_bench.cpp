#include "bench/load_bench.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bench/fed_run.h"
#include "gpu/cuda_stages.h"
#include "stages/shard_list.h"

namespace penstock::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kBatchesPerPass = 64;

// A batch that came out of the pipeline.
struct Arrival {
  Clock::time_point time;
  std::int64_t num_tokens = 0;
};

// Lets go of every batch at once.
class ArrivalTimes final : public Sink {
 public:
  explicit ArrivalTimes(std::vector<Arrival>& arrivals) : arrivals_(arrivals) {}

  void consume(std::shared_ptr<const Batch> batch, Completion done) override {
    arrivals_.push_back({Clock::now(), batch->num_tokens});
    done.done();
  }

 private:
  std::vector<Arrival>& arrivals_;
};

// The pipeline's own speed, from its middle half: every thread has work then.
void measure_speed(const std::vector<Arrival>& arrivals, ThreadsFigures& figures) {
  const auto first = arrivals.begin() + std::ssize(arrivals) / 4;
  const auto last = arrivals.begin() + std::ssize(arrivals) * 3 / 4;
  if (last <= first) {
    throw std::runtime_error("the shards do not fill enough batches");
  }
  const double seconds = std::chrono::duration<double>(last->time - first->time).count();
  std::int64_t num_tokens = 0;
  for (auto arrival = first; arrival != last; ++arrival) {
    num_tokens += arrival->num_tokens;
  }
  figures.ms_per_batch = seconds * 1e3 / static_cast<double>(last - first);
  figures.tokens_per_second = static_cast<double>(num_tokens) / seconds;
}

// As `--set` takes it.
std::string path_list(const std::vector<std::string>& paths) {
  std::string list = "[";
  for (const std::string& path : paths) {
    list += list.size() > 1 ? ", '" : "'";
    for (const char c : path) {
      list += c == '\'' ? std::string("''") : std::string(1, c);
    }
    list += "'";
  }
  return list + "]";
}

LoadedRun run_loaded(int device, const PipelineConfig& config) {
  const StageConfig& stage = config.stages.back();
  FeedSetup setup;
  setup.device = device;
  setup.slots = static_cast<int>(stage.integer("slots"));
  setup.make_stage = [&](const BatchShape& shape, const StreamInfo& stream) {
    FileClaims files;
    return gpu::cuda_stages().gemm_load(stage, {shape, stream, files});
  };
  setup.batches_per_pass = kBatchesPerPass;
  setup.profile = true;
  const FedRun run = run_pipeline(setup, config);
  const double ms_per_batch = number_result(run.results, "ms_per_batch");
  const double ms_between_batches = median(run.times.pass_milliseconds) / kBatchesPerPass;
  return {stage.number("ms_per_batch"),
          ms_per_batch,
          ms_per_batch / ms_between_batches,
          number_result(run.results, "gpu_busy_share"),
          run.summary.cpu_seconds / run.summary.wall_seconds};
}

}  // namespace

LoadBench::LoadBench(Load load, const Options& options)
    : load_(std::move(load)), options_(options) {
  const ShardList list = list_shards(load_({}).stages.front().text_list("paths"));
  for (const Shard& shard : list.shards) {
    shards_.push_back(shard.path);
  }
}

std::vector<std::string> LoadBench::overrides_for(int threads) const {
  const auto wanted = static_cast<std::size_t>(threads * options_.shards_per_thread);
  const std::vector<std::string> shards(
      shards_.begin(),
      shards_.begin() + static_cast<std::ptrdiff_t>(std::min(wanted, shards_.size())));
  return {"threads=" + std::to_string(threads), "read.paths=" + path_list(shards)};
}

ThreadsFigures LoadBench::measure(int threads) const {
  const std::vector<std::string> overrides = overrides_for(threads);
  std::vector<Arrival> arrivals;
  const RunSummary alone =
      Pipeline(load_(overrides), registry_with_device([&](const StageConfig&, const BuildContext&) {
                 return std::make_unique<ArrivalTimes>(arrivals);
               }))
          .run();
  ThreadsFigures figures;
  figures.threads = threads;
  measure_speed(arrivals, figures);
  figures.cores_used = alone.cpu_seconds / alone.wall_seconds;
  for (const double multiple : options_.multiples) {
    std::vector<std::string> loaded = overrides;
    loaded.push_back("device.ms_per_batch=" + std::to_string(multiple * figures.ms_per_batch));
    figures.loaded.push_back(run_loaded(options_.device, load_(loaded)));
  }
  return figures;
}

}  // namespace penstock::bench
