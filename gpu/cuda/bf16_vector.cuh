#pragma once

#include <cuda_bf16.h>

#include "gpu/lm_weights.h"

namespace penstock::gpu {

// Elements of 16 bytes in bf16, which a thread reads and writes at once.
inline constexpr int kBf16Vector = 8;

__device__ inline void load_vector(const Bf16* from, float (&values)[kBf16Vector]) {
  const uint4 packed = *reinterpret_cast<const uint4*>(from);
  const unsigned words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = __uint_as_float(words[i] << 16);
    values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

__device__ inline unsigned bf16_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}

__device__ inline void store_vector(const float (&values)[kBf16Vector], Bf16* to) {
  *reinterpret_cast<uint4*>(to) = {bf16_pair(values[0], values[1]),
                                   bf16_pair(values[2], values[3]),
                                   bf16_pair(values[4], values[5]),
                                   bf16_pair(values[6], values[7])};
}

// What stays of the values when they are stored.
__device__ inline void round_vector(float (&values)[kBf16Vector]) {
#pragma unroll
  for (int i = 0; i < kBf16Vector; ++i) {
    values[i] = __bfloat162float(__float2bfloat16_rn(values[i]));
  }
}

}  // namespace penstock::gpu
