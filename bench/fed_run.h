#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/timed_stage.h"
#include "gpu/device_feeder.h"
#include "pipeline/config.h"
#include "pipeline/pipeline.h"
#include "pipeline/stage_registry.h"

namespace penstock::bench {

// What a CUDA device stage is fed by, and what is measured.
struct FeedSetup {
  int device = 0;
  int slots = 2;
  // Called on the device thread.
  std::function<std::unique_ptr<gpu::DeviceStage>(const BatchShape&, const StreamInfo&)> make_stage;
  std::int64_t batches_per_pass = 1;  // of the times; a report comes back after each pass
  std::int64_t num_skipped = 0;       // passes before times count
  bool profile = false;               // of a run through the pipeline
};

// What a fed stage did.
struct FedRun {
  StageTimes times;
  std::vector<gpu::Report> reports;
  std::vector<Result> results;  // of the device, the stage and the profile
  RunSummary summary;           // of a run through the pipeline
};

// Through a DeviceFeeder, `num_passes` times the same batches.
FedRun feed_batches(const FeedSetup& setup,
                    const BatchShape& shape,
                    const std::vector<std::shared_ptr<const Batch>>& batches,
                    int num_passes);
// Through the whole pipeline of the configuration, which ends with `device`.
FedRun run_pipeline(const FeedSetup& setup, const PipelineConfig& config);

// The beginning of a stream.
struct FirstBatches {
  StreamInfo stream;
  BatchShape shape;
  std::vector<std::shared_ptr<const Batch>> batches;
};
// The first `count` batches that the configuration, which ends with `device`, makes, or as many as
// there are. Throws std::runtime_error where its shards do not fill one.
FirstBatches first_batches(const PipelineConfig& config, std::int64_t count);

// The built-in stages, but for `device`, which is made by this factory.
StageRegistry registry_with_device(SinkFactory make_device);

// The figure of that name as a number; NaN where there is none.
double number_result(const std::vector<Result>& results, const std::string& name);

}  // namespace penstock::bench
