#include "bench/fed_run.h"

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>

#include "gpu/device.h"
#include "gpu/register_device.h"
#include "pipeline/metrics.h"
#include "stages/register_stages.h"

namespace penstock::bench {
namespace {

// `run` and `stream` outlive the feeder.
gpu::DeviceFeeder::Setup feeder_setup(const FeedSetup& setup,
                                      const BatchShape& shape,
                                      const StreamInfo& stream,
                                      FedRun& run) {
  gpu::DeviceFeeder::Setup feeder;
  feeder.open_device = [number = setup.device] {
    std::unique_ptr<gpu::Device> device = gpu::make_cuda_device(number);
    std::string name = device->describe();
    return gpu::ChosenDevice{std::move(device), std::move(name)};
  };
  feeder.stage_name = "under test";
  feeder.make_stage = [setup, shape, &stream, &run](gpu::Device&) {
    return std::make_unique<TimedStage>(
        setup.make_stage(shape, stream), setup.batches_per_pass, setup.num_skipped, run.times);
  };
  feeder.shape = shape;
  feeder.num_slots = setup.slots;
  feeder.report_every = setup.batches_per_pass;
  feeder.on_report = [&run](const gpu::Report& report) { run.reports.push_back(report); };
  return feeder;
}

// Keeps the first batches and asks the run to stop.
class KeepFirst final : public Sink {
 public:
  KeepFirst(std::vector<std::shared_ptr<const Batch>>& batches,
            std::size_t wanted,
            std::stop_source stop)
      : batches_(batches), wanted_(wanted), stop_(std::move(stop)) {}

  void consume(std::shared_ptr<const Batch> batch, Completion done) override {
    if (batches_.size() < wanted_) {
      batches_.push_back(std::move(batch));
    } else {
      stop_.request_stop();
    }
    done.done();
  }

 private:
  std::vector<std::shared_ptr<const Batch>>& batches_;
  const std::size_t wanted_;
  std::stop_source stop_;
};

}  // namespace

FedRun feed_batches(const FeedSetup& setup,
                    const BatchShape& shape,
                    const std::vector<std::shared_ptr<const Batch>>& batches,
                    int num_passes) {
  FedRun run;
  const StreamInfo stream;
  StageMetrics metrics("device", 1);
  gpu::DeviceFeeder feeder(feeder_setup(setup, shape, stream, run), metrics);
  for (int pass = 0; pass < num_passes; ++pass) {
    for (const auto& batch : batches) {
      // finish() throws what went wrong.
      feeder.consume(batch, Completion([](const std::exception_ptr&) {}));
    }
  }
  feeder.finish();
  run.results = feeder.results();
  return run;
}

FedRun run_pipeline(const FeedSetup& setup, const PipelineConfig& config) {
  FedRun run;
  const StageRegistry registry =
      registry_with_device([&](const StageConfig&, const BuildContext& context) {
        gpu::DeviceFeeder::Setup feeder =
            feeder_setup(setup, context.stream.batch_shape.value(), context.stream, run);
        if (setup.profile) {
          feeder.make_profiler = [&context](gpu::Device& device) {
            return gpu::make_cuda_profiler(device, context.metrics, context.own_row.name);
          };
        }
        return std::make_unique<gpu::DeviceFeeder>(std::move(feeder), context.own_row);
      });
  run.summary = Pipeline(config, registry).run();
  run.results = run.summary.sinks.back().results;
  return run;
}

FirstBatches first_batches(const PipelineConfig& config, std::int64_t count) {
  FirstBatches first;
  std::stop_source stop;
  const StageRegistry registry =
      registry_with_device([&](const StageConfig&, const BuildContext& context) {
        first.stream = context.stream;
        first.shape = context.stream.batch_shape.value();
        return std::make_unique<KeepFirst>(first.batches, static_cast<std::size_t>(count), stop);
      });
  Pipeline(config, registry).run(stop.get_token());
  if (first.batches.empty() || first.batches.front()->num_tokens != first.shape.cells()) {
    throw std::runtime_error("the shards do not fill one batch of " +
                             std::to_string(first.shape.cells()) + " tokens");
  }
  return first;
}

StageRegistry registry_with_device(SinkFactory make_device) {
  StageRegistry built_in;
  register_device(built_in);
  StageType device = *built_in.find("device");
  device.factory = std::move(make_device);
  StageRegistry registry;
  register_stages(registry);
  registry.add(std::move(device));
  return registry;
}

double number_result(const std::vector<Result>& results, const std::string& name) {
  for (const Result& result : results) {
    if (result.name == name) {
      if (const auto* count = std::get_if<std::int64_t>(&result.value)) {
        return static_cast<double>(*count);
      }
      if (const auto* number = std::get_if<double>(&result.value)) {
        return *number;
      }
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace penstock::bench
