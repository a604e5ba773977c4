#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/fed_run.h"
#include "gpu/lm_score.h"
#include "gpu/lm_weights.h"
#include "pipeline/config.h"

namespace penstock::bench {

// One way of running lm_score.
struct Measurement {
  std::string mode;
  double ms_per_batch = 0;
  double tokens_per_second = 0;
  std::vector<Result> figures;
};

// Whether two ways computed the same.
struct Agreement {
  std::string what;
  bool holds = false;
  std::string detail;
};

// Measures lm_score on a CUDA device, with the batches that a configuration makes of its shards.
// Used by one thread.
class ScoreBench {
 public:
  struct Options {
    int device = 0;
    std::int64_t vocabulary = 0;    // of seeded weights; the tokenizer's where that is larger
    std::int64_t num_batches = 16;  // distinct ones, from the beginning of the stream: a pass
    int warm_up = 2;                // passes
    int repeats = 10;               // passes
    int token_repeats = 3;          // passes over one batch, a token at a time
  };

  // The configuration, which outlives this, ends with `device: {stage: lm_score}`. Reads the
  // batches of a pass.
  ScoreBench(const PipelineConfig& config, const Options& options);

  // Kernels alone, on batches that lie in device memory. The others compare with it: comes first.
  Measurement resident();
  // The same batches from host memory, through the slots of a DeviceFeeder.
  Measurement staged();
  // From the configured shards, twice: without a profile for the times, and with one.
  Measurement pipeline();
  // What this replaces: a position at a time, its token copied back and waited for.
  Measurement per_token();

  const std::vector<Agreement>& agreements() const { return agreements_; }
  // What was measured: sizes of batches and weights.
  std::vector<Result> workload() const;

 private:
  using Batches = std::vector<std::shared_ptr<const Batch>>;

  FeedSetup feed_setup() const;
  void expect_same(const std::string& what,
                   const std::vector<Result>& expected,
                   const std::vector<Result>& found);

  const PipelineConfig& config_;
  const Options options_;
  const gpu::LmScoreOptions score_options_;
  StreamInfo stream_;
  FileClaims files_;
  BatchShape shape_;
  Batches batches_;
  gpu::LmWeights weights_;
  // What the kernels alone found: in the first pass, and in all of them.
  std::vector<Result> first_pass_;
  std::vector<Result> all_passes_;
  std::vector<Agreement> agreements_;
};

}  // namespace penstock::bench
