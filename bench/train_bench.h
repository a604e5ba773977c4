#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/fed_run.h"
#include "bench/score_bench.h"
#include "gpu/lm_train.h"
#include "pipeline/config.h"

namespace penstock::bench {

// Measures lm_train on a CUDA device, with the batches that a configuration makes of its shards.
// Used by one thread.
class TrainBench {
 public:
  struct Options {
    int device = 0;
    std::int64_t num_batches = 8;       // distinct ones, from the beginning of the stream: a pass
    int warm_up = 1;                    // passes
    int repeats = 4;                    // passes
    double peak_teraflops = 989;        // of the device in bf16; those of an H100 SXM
    double peer_tokens_per_second = 0;  // what is compared with; 0: nothing
  };

  // The configuration, which outlives this, ends with `device: {stage: lm_train}`. Reads the
  // batches of a pass.
  TrainBench(const PipelineConfig& config, const Options& options);

  // On batches that lie in device memory.
  Measurement resident() const;
  // The same, but every row is one document, so that attention has most to do.
  Measurement whole_rows() const;
  // From the configured shards, twice: without a profile for the times, and with one.
  Measurement pipeline() const;

  // What was measured: sizes of batches and model.
  std::vector<Result> workload() const;

 private:
  using Batches = std::vector<std::shared_ptr<const Batch>>;

  std::unique_ptr<gpu::DeviceStage> make_stage() const;
  Measurement on_device(const std::string& mode, const Batches& batches) const;
  // Adds what follows from the speed.
  Measurement finished(Measurement measurement) const;

  const PipelineConfig& config_;
  const Options options_;
  const FirstBatches first_;
  const gpu::LmTrainOptions train_options_;
};

}  // namespace penstock::bench
