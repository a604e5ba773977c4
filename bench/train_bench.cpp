#include "bench/train_bench.h"

#include <cstddef>
#include <utility>
#include <variant>

#include "gpu/cuda/cuda_trainer.h"
#include "gpu/device.h"

namespace penstock::bench {
namespace {

gpu::LmTrainOptions train_options(const PipelineConfig& config, const FirstBatches& first) {
  FileClaims files;
  return gpu::read_lm_train_options(config.stages.back(), {first.shape, first.stream, files});
}

// As if every row were one document.
Batch with_whole_rows(const Batch& batch) {
  Batch whole = batch;
  whole.cu_seqlens.clear();
  for (std::int64_t row = 0; row <= batch.batch_size; ++row) {
    whole.cu_seqlens.push_back(static_cast<std::int32_t>(row * batch.sequence_length));
  }
  return whole;
}

}  // namespace

TrainBench::TrainBench(const PipelineConfig& config, const Options& options)
    : config_(config),
      options_(options),
      first_(first_batches(config, options.num_batches)),
      train_options_(train_options(config, first_)) {}

std::unique_ptr<gpu::DeviceStage> TrainBench::make_stage() const {
  const std::vector<float> parameters = gpu::initial_parameters(
      gpu::transformer_layout(train_options_.shape, 1), train_options_.seed);
  return std::make_unique<gpu::LmTrain>(train_options_,
                                        std::make_unique<gpu::CudaTrainer>(train_options_.shape,
                                                                           train_options_.optimizer,
                                                                           parameters,
                                                                           first_.shape,
                                                                           train_options_.tile,
                                                                           16));
}

Measurement TrainBench::resident() const {
  return on_device("resident", first_.batches);
}

Measurement TrainBench::whole_rows() const {
  Batches batches;
  for (const auto& batch : first_.batches) {
    batches.push_back(std::make_shared<const Batch>(with_whole_rows(*batch)));
  }
  return on_device("whole_rows", batches);
}

Measurement TrainBench::on_device(const std::string& mode, const Batches& batches) const {
  const std::unique_ptr<gpu::Device> device = gpu::make_cuda_device(options_.device);
  std::vector<std::unique_ptr<gpu::StagingSlot>> slots;
  std::vector<gpu::DeviceBatch> on_device;
  for (const auto& batch : batches) {
    slots.push_back(device->make_slot(first_.shape));
    on_device.push_back(slots.back()->upload(*batch));
  }
  StageTimes times;
  TimedStage stage(make_stage(), std::ssize(batches), options_.warm_up, times);
  for (int pass = 0; pass < options_.warm_up + options_.repeats; ++pass) {
    for (const gpu::DeviceBatch& batch : on_device) {
      stage.enqueue(batch, device->compute_stream());
    }
    stage.enqueue_report(device->compute_stream());
  }
  const std::vector<Result> results = stage.results();
  const double ms = median(times.pass_milliseconds) / static_cast<double>(batches.size());
  std::int64_t num_segments = 0;
  for (const auto& batch : batches) {
    num_segments += std::ssize(batch->cu_seqlens) - 1;
  }
  return finished(
      {mode,
       ms,
       static_cast<double>(first_.shape.positions()) / ms * 1e3,
       {{"mean_ms_per_batch", times.ms_per_batch()},
        {"mean_segments", static_cast<double>(num_segments) / static_cast<double>(batches.size())},
        {"loss", number_result(results, "loss")},
        {"gpu_memory", number_result(results, "gpu_memory")}}});
}

Measurement TrainBench::pipeline() const {
  FeedSetup setup;
  setup.device = options_.device;
  setup.slots = static_cast<int>(config_.stages.back().integer("slots"));
  setup.make_stage = [this](const BatchShape&, const StreamInfo&) { return make_stage(); };
  setup.batches_per_pass = std::ssize(first_.batches);
  setup.num_skipped = options_.warm_up;
  const FedRun timed = run_pipeline(setup, config_);
  setup.profile = true;
  const FedRun profiled = run_pipeline(setup, config_);
  const double ms = timed.times.ms_per_batch();
  Measurement measurement = {
      "pipeline",
      ms,
      static_cast<double>(first_.shape.positions()) / ms * 1e3,
      {{"batches", timed.times.num_batches},
       {"ms_per_batch_with_profile", profiled.times.ms_per_batch()},
       {"threads", static_cast<std::int64_t>(timed.summary.threads)},
       {"wall_seconds", timed.summary.wall_seconds},
       {"cores_used", timed.summary.cpu_seconds / timed.summary.wall_seconds},
       {"limit", timed.summary.limiting_stage}}};
  for (const Result& result : profiled.results) {
    // The stage's own speed is that of its last report.
    if (!std::holds_alternative<std::vector<double>>(result.value) &&
        result.name != "tokens_per_second") {
      measurement.figures.push_back(result);
    }
  }
  return finished(std::move(measurement));
}

Measurement TrainBench::finished(Measurement measurement) const {
  const double flops = gpu::training_flops_per_token(train_options_.shape);
  const double speed = measurement.tokens_per_second;
  measurement.figures.push_back(
      {"model_flops_utilisation", speed * flops / (options_.peak_teraflops * 1e12)});
  if (options_.peer_tokens_per_second > 0) {
    measurement.figures.push_back({"share_of_peer", speed / options_.peer_tokens_per_second});
  }
  return measurement;
}

std::vector<Result> TrainBench::workload() const {
  const gpu::TransformerShape& shape = train_options_.shape;
  return {{"batch_size", first_.shape.batch_size},
          {"sequence_length", first_.shape.sequence_length},
          {"vocabulary", shape.vocabulary},
          {"width", shape.width},
          {"layers", shape.layers},
          {"heads", shape.heads},
          {"parameters", gpu::num_parameters(shape)},
          {"flops_per_token", gpu::training_flops_per_token(shape)},
          {"accumulate", train_options_.accumulate},
          {"tile", train_options_.tile},
          {"peak_teraflops", options_.peak_teraflops},
          {"peer_tokens_per_second", options_.peer_tokens_per_second},
          {"distinct_batches", std::ssize(first_.batches)},
          {"warm_up_passes", static_cast<std::int64_t>(options_.warm_up)},
          {"passes", static_cast<std::int64_t>(options_.repeats)}};
}

}  // namespace penstock::bench
