#include "bench/score_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <variant>

#include <cuda_runtime_api.h>

#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_lm_score.h"
#include "gpu/cuda/handles.h"
#include "gpu/device.h"

namespace penstock::bench {
namespace {

using gpu::check;

// Pinned memory that the device's samples come back to.
class Samples {
 public:
  explicit Samples(std::int64_t count)
      : memory_(static_cast<std::size_t>(count) * sizeof(TokenId), "samples"),
        samples_(reinterpret_cast<TokenId*>(memory_.data())) {}

  // Copies `count` of them from `first` on, and waits.
  void fetch(const gpu::CudaLmScore& stage,
             std::int64_t first,
             std::int64_t count,
             gpu::DeviceStream stream) {
    const auto handle = static_cast<cudaStream_t>(stream.handle);
    check(cudaMemcpyAsync(samples_ + first,
                          stage.samples() + first,
                          static_cast<std::size_t>(count) * sizeof(TokenId),
                          cudaMemcpyDeviceToHost,
                          handle),
          "cudaMemcpyAsync");
    check(cudaStreamSynchronize(handle), "cudaStreamSynchronize");
  }

  std::vector<TokenId> first(std::int64_t count) const { return {samples_, samples_ + count}; }

 private:
  gpu::PinnedBuffer memory_;
  TokenId* const samples_;
};

std::int64_t num_different(const std::vector<TokenId>& left, const std::vector<TokenId>& right) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    count += left[i] == right[i] ? 0 : 1;
  }
  return count;
}

double relative_difference(double left, double right) {
  return std::abs(left - right) / std::max({std::abs(left), std::abs(right), 1e-300});
}

const Result* find(const std::vector<Result>& results, const std::string& name) {
  const auto found = std::find_if(
      results.begin(), results.end(), [&](const Result& result) { return result.name == name; });
  return found == results.end() ? nullptr : &*found;
}

// The same kernels on the same batches give the same; sums of doubles may be taken in another
// order.
bool is_same(const Result& left, const Result& right) {
  constexpr double kTolerance = 1e-9;
  const auto* left_number = std::get_if<double>(&left.value);
  const auto* right_number = std::get_if<double>(&right.value);
  if (left_number != nullptr && right_number != nullptr) {
    return relative_difference(*left_number, *right_number) <= kTolerance;
  }
  return left.value == right.value;
}

double median_per_batch(const StageTimes& times, std::size_t batches_per_pass) {
  return median(times.pass_milliseconds) / static_cast<double>(batches_per_pass);
}

gpu::LmWeights weights_for(const gpu::LmScoreOptions& score,
                           const PipelineConfig& config,
                           const gpu::DeviceStageContext& context,
                           std::int64_t vocabulary) {
  if (!score.weights.empty()) {
    return gpu::load_lm_weights(score, config.stages.back(), context);
  }
  return gpu::seeded_lm_weights(std::max(vocabulary, context.stream.vocabulary_size.value_or(0)),
                                score.width,
                                score.window,
                                score.seed);
}

}  // namespace

ScoreBench::ScoreBench(const PipelineConfig& config, const Options& options)
    : config_(config),
      options_(options),
      score_options_(gpu::read_lm_score_options(config.stages.back())) {
  FirstBatches first = first_batches(config, options.num_batches);
  stream_ = std::move(first.stream);
  shape_ = first.shape;
  batches_ = std::move(first.batches);
  weights_ = weights_for(score_options_, config, {shape_, stream_, files_}, options.vocabulary);
}

FeedSetup ScoreBench::feed_setup() const {
  FeedSetup setup;
  setup.device = options_.device;
  setup.slots = static_cast<int>(config_.stages.back().integer("slots"));
  setup.make_stage = [this](const BatchShape& shape, const StreamInfo&) {
    return std::make_unique<gpu::CudaLmScore>(score_options_, weights_, shape);
  };
  setup.batches_per_pass = std::ssize(batches_);
  return setup;
}

Measurement ScoreBench::resident() {
  const std::unique_ptr<gpu::Device> device = gpu::make_cuda_device(options_.device);
  std::vector<std::unique_ptr<gpu::StagingSlot>> slots;
  std::vector<gpu::DeviceBatch> on_device;
  for (const auto& batch : batches_) {
    slots.push_back(device->make_slot(shape_));
    on_device.push_back(slots.back()->upload(*batch));
  }
  StageTimes times;
  TimedStage stage(std::make_unique<gpu::CudaLmScore>(score_options_, weights_, shape_),
                   std::ssize(batches_),
                   options_.warm_up,
                   times);
  for (int pass = 0; pass < options_.warm_up + options_.repeats; ++pass) {
    for (const gpu::DeviceBatch& batch : on_device) {
      stage.enqueue(batch, device->compute_stream());
    }
    stage.enqueue_report(device->compute_stream());
  }
  all_passes_ = stage.results();
  first_pass_ = stage.next_report().value().figures;
  const double ms = median_per_batch(times, batches_.size());
  const auto [fastest, slowest] =
      std::minmax_element(times.pass_milliseconds.begin(), times.pass_milliseconds.end());
  const auto per_batch = static_cast<double>(batches_.size());
  return {"resident",
          ms,
          static_cast<double>(shape_.positions()) / ms * 1e3,
          {{"mean_ms_per_batch", times.ms_per_batch()},
           {"fastest_pass_ms_per_batch", *fastest / per_batch},
           {"slowest_pass_ms_per_batch", *slowest / per_batch},
           {"loss", number_result(all_passes_, "loss")},
           {"accuracy", number_result(all_passes_, "accuracy")}}};
}

Measurement ScoreBench::staged() {
  FeedSetup setup = feed_setup();
  setup.num_skipped = options_.warm_up;
  const FedRun run = feed_batches(setup, shape_, batches_, options_.warm_up + options_.repeats);
  expect_same("staged computes what resident does", all_passes_, run.results);
  const double ms = median_per_batch(run.times, batches_.size());
  return {"staged",
          ms,
          static_cast<double>(shape_.positions()) / ms * 1e3,
          {{"mean_ms_per_batch", run.times.ms_per_batch()}}};
}

Measurement ScoreBench::pipeline() {
  FeedSetup setup = feed_setup();
  const FedRun timed = run_pipeline(setup, config_);
  setup.profile = true;
  FedRun profiled = run_pipeline(setup, config_);
  if (!timed.reports.empty()) {
    expect_same("the pipeline's first batches give what resident does",
                first_pass_,
                timed.reports.front().figures);
  }
  expect_same("two runs of the pipeline give the same", timed.results, profiled.results);
  const double ms = timed.times.ms_per_batch();
  const RunSummary& summary = timed.summary;
  Measurement measurement = {
      "pipeline",
      ms,
      static_cast<double>(timed.times.num_batches * shape_.positions()) / timed.times.milliseconds *
          1e3,
      {{"batches", timed.times.num_batches},
       {"median_ms_per_batch", median_per_batch(timed.times, batches_.size())},
       {"ms_per_batch_with_profile", profiled.times.ms_per_batch()},
       {"threads", static_cast<std::int64_t>(summary.threads)},
       {"wall_seconds", summary.wall_seconds},
       {"cores_used", summary.cpu_seconds / summary.wall_seconds},
       {"limit", summary.limiting_stage},
       {"limit_reason", summary.limit_reason}}};
  for (Result& result : profiled.results) {
    if (!std::holds_alternative<std::vector<double>>(result.value) && result.name != "batches") {
      measurement.figures.push_back(std::move(result));
    }
  }
  return measurement;
}

Measurement ScoreBench::per_token() {
  const std::unique_ptr<gpu::Device> device = gpu::make_cuda_device(options_.device);
  const gpu::DeviceStream stream = device->compute_stream();
  const std::unique_ptr<gpu::StagingSlot> slot = device->make_slot(shape_);
  const gpu::DeviceBatch batch = slot->upload(*batches_.front());
  const std::int64_t positions = shape_.positions();
  gpu::CudaLmScore at_once(score_options_, weights_, shape_);
  gpu::CudaLmScore one_by_one(score_options_, weights_, shape_);
  Samples samples(positions);
  std::vector<TokenId> expected;
  std::vector<double> seconds;
  for (int pass = 0; pass < 1 + options_.token_repeats; ++pass) {
    at_once.enqueue(batch, stream);
    samples.fetch(at_once, 0, positions, stream);
    expected = samples.first(positions);
    const auto start = std::chrono::steady_clock::now();
    one_by_one.begin(batch, stream);
    for (std::int64_t i = 0; i < positions; ++i) {
      one_by_one.score(batch, i, 1, stream);
      samples.fetch(one_by_one, i, 1, stream);
    }
    one_by_one.end(batch, stream);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (pass > 0) {
      seconds.push_back(taken.count());
    }
  }
  const std::int64_t different = num_different(expected, samples.first(positions));
  const double loss_difference = relative_difference(number_result(at_once.results(), "loss"),
                                                     number_result(one_by_one.results(), "loss"));
  // A product of one row is summed in another order than one of a tile, so that logits differ in
  // their last bits and a sample between two of them can go the other way.
  constexpr double kLossTolerance = 1e-4;
  constexpr std::int64_t kPositionsPerDifference = 200;
  agreements_.push_back(
      {"a token at a time gives what the batch does",
       loss_difference <= kLossTolerance && different * kPositionsPerDifference <= positions,
       "relative difference of the loss " + std::to_string(loss_difference) + ", " +
           std::to_string(different) + " of " + std::to_string(positions) + " samples differ"});
  const double ms = median(seconds) * 1e3;
  return {"per_token",
          ms,
          static_cast<double>(positions) / median(seconds),
          {{"microseconds_per_token", ms * 1e3 / static_cast<double>(positions)},
           {"samples_that_differ", different},
           {"relative_difference_of_loss", loss_difference}}};
}

void ScoreBench::expect_same(const std::string& what,
                             const std::vector<Result>& expected,
                             const std::vector<Result>& found) {
  Agreement agreement = {what, true, "equal"};
  for (const std::string name : {"batches",
                                 "scored",
                                 "sampled",
                                 "loss",
                                 "accuracy",
                                 "sampled_accuracy",
                                 "sample_checksum"}) {
    const Result* left = find(expected, name);
    const Result* right = find(found, name);
    if (left == nullptr || right == nullptr || !is_same(*left, *right)) {
      agreement.holds = false;
      agreement.detail = "'" + name + "' differs";
    }
  }
  agreements_.push_back(std::move(agreement));
}

std::vector<Result> ScoreBench::workload() const {
  return {{"batch_size", shape_.batch_size},
          {"sequence_length", shape_.sequence_length},
          {"vocabulary", weights_.vocabulary},
          {"width", weights_.width},
          {"window", weights_.window},
          {"tile", score_options_.tile},
          {"temperature", score_options_.temperature},
          {"top_k", score_options_.top_k},
          {"top_p", score_options_.top_p},
          {"slots", config_.stages.back().integer("slots")},
          {"distinct_batches", std::ssize(batches_)},
          {"warm_up_passes", static_cast<std::int64_t>(options_.warm_up)},
          {"passes", static_cast<std::int64_t>(options_.repeats)}};
}

}  // namespace penstock::bench
