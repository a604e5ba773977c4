#pragma once

#include <cstdint>
#include <vector>

#include "gpu/device_stage_type.h"

// The device stage `bigram_counts`: how often each token occurs at the input positions of all
// batches, and each pair of neighbours. Padding is no token, and a pair is counted where both lie
// in one row and one document, as cu_seqlens says. Backends count; this class tells.
class BigramCounts : public penstock::gpu::DeviceStage {
 public:
  // Of what was counted. Ids from `vocabulary` on are counted in `outside` alone, and pairs with
  // them not at all.
  struct Counts {
    std::vector<std::uint64_t> tokens;   // [vocabulary]
    std::vector<std::uint64_t> bigrams;  // [vocabulary, vocabulary], the first token's id first
    std::uint64_t outside = 0;
  };

  explicit BigramCounts(std::int64_t top) : top_(top) {}

  std::vector<penstock::Result> results() final;

 private:
  // Waits for what was enqueued.
  virtual Counts take_counts() = 0;

  const std::int64_t top_;
};

struct BigramSettings {
  // Throws ConfigError where the vocabulary is not known, or the table does not fit max_table.
  BigramSettings(const penstock::StageConfig& config,
                 const penstock::gpu::DeviceStageContext& context);

  std::int64_t vocabulary;
  std::int64_t top;
};

// Makes the stage for a CUDA device; empty where it was built without CUDA.
penstock::gpu::DeviceStageFactory bigram_counts_on_cuda();
