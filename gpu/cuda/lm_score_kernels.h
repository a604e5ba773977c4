#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "gpu/device_stage.h"
#include "gpu/lm_score.h"
#include "gpu/lm_weights.h"

// The kernels of lm_score; see gpu/lm_score.h for what they compute. Every pointer is to device
// memory that stays alive until the kernel is done; every function enqueues one kernel, and throws
// CudaError. No kernel adds floating-point numbers in an order that could differ between runs.
namespace penstock::gpu {

// What is known of a position before it is scored.
struct LmPlace {
  std::int32_t begin = 0;   // first position of its segment
  std::int32_t target = 0;  // the token that is to be predicted, or one of these:
};
inline constexpr std::int32_t kLmNoTarget = -1;
inline constexpr std::int32_t kLmPadding = -2;

// What was found in the batches so far.
struct LmFound {
  LmScoreTotals totals;
  LmScoreTotals last_batch;
  std::int64_t num_unknown = 0;     // tokens that are no ids of the vocabulary
  std::int64_t num_not_finite = 0;  // positions with a logit that is not finite
};

// Of each position of a batch; arrays [positions].
struct LmPositions {
  LmPlace* places = nullptr;
  Bf16* context = nullptr;          // [positions, width]; 0 for padding
  float* losses = nullptr;          // 0 where there is no target
  float* highest_logits = nullptr;  // not of padding
  TokenId* highest_ids = nullptr;
  TokenId* samples = nullptr;
};

// Of the context; see LmWeights.
struct LmDeviceWeights {
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  std::int64_t window = 0;
  const Bf16* embedding = nullptr;
  const Bf16* mix = nullptr;
};

// A stretch of the positions of a batch.
struct LmStretch {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// The logits of a stretch [count, stride]. The vocabulary is followed by minus infinity up to the
// stride, a multiple of kLmLogitsAlignment, so that kernels read vectors without looking for its
// end.
struct LmLogits {
  const float* logits = nullptr;
  std::int64_t stride = 0;
};
inline constexpr std::int64_t kLmLogitsAlignment = 32;

struct LmSampling {
  float inverse_temperature = 1;
  std::int64_t top_k = 0;  // 0: all; at most the vocabulary
  double top_p = 1;
  std::uint64_t seed = 0;
  // On the device; added to every position's index in the stream. May be null.
  const std::int64_t* offset = nullptr;
};
// Of logits of `vocabulary` ids.
LmSampling lm_sampling(const TokenSampling& sampling, std::int64_t vocabulary);

void fill_with_minus_infinity(float* values, std::int64_t count, cudaStream_t stream);

// Fills `places`, and counts unknown tokens.
void find_places(const DeviceBatch& batch,
                 std::int64_t vocabulary,
                 LmPlace* places,
                 LmFound* found,
                 cudaStream_t stream);

// Fills `context` of the stretch from the places.
void add_context(const DeviceBatch& batch,
                 const LmDeviceWeights& weights,
                 const LmPositions& positions,
                 LmStretch stretch,
                 cudaStream_t stream);

// Fills losses, highest logits and ids of the stretch, the highest ids also as samples; counts
// positions that are not finite.
void score_logits(const LmLogits& logits,
                  const LmPositions& positions,
                  LmStretch stretch,
                  LmFound* found,
                  cudaStream_t stream);

// Replaces the samples of the stretch by random ones.
void sample_logits(const LmLogits& logits,
                   const LmPositions& positions,
                   const LmSampling& sampling,
                   std::int64_t first_position,  // of the batch in the stream
                   LmStretch stretch,
                   cudaStream_t stream);

// Sums each segment [num_segments].
void sum_segments(const DeviceBatch& batch,
                  const LmPositions& positions,
                  LmScoreTotals* sums,
                  LmSegmentScore* scores,
                  cudaStream_t stream);

// Adds the sums of the segments, and a batch, to what was found; of the last batch they are all.
void add_to_totals(const LmScoreTotals* sums,
                   std::int64_t num_segments,
                   LmFound* found,
                   cudaStream_t stream);

}  // namespace penstock::gpu
