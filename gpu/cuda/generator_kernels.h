#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "gpu/generator.h"
#include "gpu/lm_weights.h"

// The kernels of generation beside those of lm_train and lm_score. Arrays are row-major; a row is a
// text. Every pointer is to device memory that stays alive until the kernel is done; functions
// throw CudaError. No kernel adds in an order that could differ between runs.
namespace penstock::gpu {

// How far generation has come; the same for every text.
struct GenerationPlace {
  std::int64_t position = 0;  // that is computed
  std::int64_t offset = 0;    // position * kMaxPrompts
};

// The texts, and what is worked on.
struct DeviceTexts {
  std::int64_t count = 0;
  std::int64_t max_length = 0;
  TokenId* tokens = nullptr;                     // [count, max_length]
  const std::int32_t* prompt_lengths = nullptr;  // [count]
  GenerationPlace* place = nullptr;
};

// output [count, width] = token_embedding[token] + position_embedding[position]
void embed_position(const DeviceTexts& texts,
                    std::int64_t width,
                    const float* token_embedding,
                    const float* position_embedding,
                    Bf16* output,
                    cudaStream_t stream);

// Attention of one position to all up to it. Keeps its keys and values.
struct CachedAttention {
  std::int64_t heads = 0;           // of kAttentionHeadWidth elements
  const Bf16* projected = nullptr;  // [count, 3 * width]: queries, keys and values
  Bf16* cache = nullptr;            // [count, max_length, 2 * width]: keys and values
  Bf16* output = nullptr;           // [count, width]
};
void attend_to_cache(const DeviceTexts& texts,
                     const CachedAttention& attention,
                     cudaStream_t stream);

// What a product is added to that gives logits [count, stride]: 0, and minus infinity from the
// vocabulary on.
void begin_logits(float* logits,
                  std::int64_t count,
                  std::int64_t vocabulary,
                  std::int64_t stride,
                  cudaStream_t stream);

// Puts the samples [count] behind texts whose prompts end here or before, and goes on to the next
// position. Without samples nothing but that.
void append_samples(const DeviceTexts& texts, const TokenId* samples, cudaStream_t stream);

}  // namespace penstock::gpu
