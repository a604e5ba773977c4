#pragma once

#include <cstdint>

#include <cuda_runtime_api.h>

#include "gpu/lm_weights.h"

// Causal attention within segments on tensor cores, forward and backward, without a matrix of
// scores in memory. Dao et al. 2022, "FlashAttention"; Dao 2023, "FlashAttention-2". Every pointer
// is to device memory that stays alive until the kernels are done; functions throw CudaError. No
// kernel adds in an order that could differ between runs.
namespace penstock::gpu {

inline constexpr std::int64_t kAttentionHeadWidth = 64;

struct DeviceAttention {
  std::int64_t positions = 0;
  std::int64_t heads = 0;                // of kAttentionHeadWidth elements
  const std::int32_t* begins = nullptr;  // [positions], see PackedPositions
  const std::int32_t* ends = nullptr;
  const Bf16* projected = nullptr;  // [positions, 3 * width]: queries, keys and values
  Bf16* output = nullptr;           // [positions, width]
  float* log_sums = nullptr;        // [heads, positions], of base 2
};

// Fills output and log_sums.
void attend(const DeviceAttention& attention, cudaStream_t stream);

struct DeviceAttentionGradient {
  const Bf16* d_output = nullptr;  // [positions, width]
  float* means = nullptr;          // [heads, positions], overwritten
  Bf16* d_projected = nullptr;     // [positions, 3 * width]
};

// Fills d_projected.
void attend_backward(const DeviceAttention& attention,
                     const DeviceAttentionGradient& gradient,
                     cudaStream_t stream);

}  // namespace penstock::gpu
