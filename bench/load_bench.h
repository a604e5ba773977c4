#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pipeline/config.h"

namespace penstock::bench {

// A run in front of a device that is busy for a given time with every batch.
struct LoadedRun {
  double ms_per_batch_asked = 0;
  double ms_per_batch = 0;             // that the device took
  double busy_share_once_it_runs = 0;  // the median over stretches of 64 batches
  double gpu_busy_share = 0;           // of the whole run, its begin and its end included
  double cores_used = 0;
};

// What a number of threads can feed.
struct ThreadsFigures {
  int threads = 1;
  double ms_per_batch = 0;  // in which the pipeline alone makes a batch, in its middle half
  double tokens_per_second = 0;
  double cores_used = 0;
  std::vector<LoadedRun> loaded;  // at multiples of this time
};

// Measures at which `ms_per_batch` of gemm_load each number of threads stops being enough: the
// pipeline alone tells, and runs with a device that is a little slower and a little faster confirm.
class LoadBench {
 public:
  struct Options {
    int device = 0;
    // Shards of the configuration that are read, for each thread: so that runs take equally long.
    int shards_per_thread = 4;
    std::vector<double> multiples = {1.1, 0.9};
  };
  // The configuration with these overrides beside the ones that it was asked for. It ends with
  // `device: {stage: gemm_load}`.
  using Load = std::function<PipelineConfig(const std::vector<std::string>& overrides)>;

  LoadBench(Load load, const Options& options);

  ThreadsFigures measure(int threads) const;

 private:
  std::vector<std::string> overrides_for(int threads) const;

  const Load load_;
  const Options options_;
  std::vector<std::string> shards_;
};

}  // namespace penstock::bench
