#include <cmath>

#include <cuda_bf16.h>

#include "gpu/cuda/attention_kernels.h"
#include "gpu/cuda/bf16_vector.cuh"
#include "gpu/cuda/check.h"
#include "gpu/cuda/generator_kernels.h"

namespace penstock::gpu {
namespace {

constexpr int kThreads = 256;  // of a block that has no reason for another number
constexpr unsigned kFullWarp = 0xffffffffu;
constexpr int kWarpSize = 32;

__device__ float widen(Bf16 value) {
  return __uint_as_float(static_cast<unsigned>(value) << 16);
}

__device__ Bf16 narrow(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

// A block a text.
__global__ void embed_position_kernel(DeviceTexts texts,
                                      std::int64_t width,
                                      const float* token_embedding,
                                      const float* position_embedding,
                                      Bf16* output) {
  const std::int64_t text = blockIdx.x;
  const std::int64_t position = texts.place->position;
  const std::int64_t token = texts.tokens[text * texts.max_length + position];
  for (std::int64_t i = threadIdx.x; i < width; i += kThreads) {
    output[text * width + i] =
        narrow(token_embedding[token * width + i] + position_embedding[position * width + i]);
  }
}

constexpr int kWidth = static_cast<int>(kAttentionHeadWidth);
constexpr int kKeys = 128;  // that are looked at at the same time, each by a thread
constexpr int kParts = kKeys / kWidth;
constexpr int kWarps = kKeys / kWarpSize;

struct Maximum {
  __device__ static float of(float a, float b) { return fmaxf(a, b); }
};
struct Sum {
  __device__ static float of(float a, float b) { return a + b; }
};

// Of the values of all threads, in all threads.
template <typename Operation>
__device__ float block_reduce(float value, float (&of_warps)[kWarps]) {
#pragma unroll
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value = Operation::of(value, __shfl_xor_sync(kFullWarp, value, offset));
  }
  if (threadIdx.x % kWarpSize == 0) {
    of_warps[threadIdx.x / kWarpSize] = value;
  }
  __syncthreads();
  float result = of_warps[0];
#pragma unroll
  for (int i = 1; i < kWarps; ++i) {
    result = Operation::of(result, of_warps[i]);
  }
  __syncthreads();  // of_warps may be written again
  return result;
}

__device__ float dot(const float (&query)[kWidth], const Bf16* key) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kWidth; i += kBf16Vector) {
    float values[kBf16Vector];
    load_vector(key + i, values);
#pragma unroll
    for (int j = 0; j < kBf16Vector; ++j) {
      sum += query[i + j] * values[j];
    }
  }
  return sum;
}

// A block a head of a text. The softmax is that of the keys so far; what was added up before is
// rescaled where a higher score comes. Each of kParts groups of threads adds up the values of its
// part of the keys, a thread a column.
__global__ void __launch_bounds__(kKeys)
    attend_to_cache_kernel(DeviceTexts texts, CachedAttention attention) {
  __shared__ float query[kWidth];
  __shared__ float probabilities[kKeys];
  __shared__ float of_warps[kWarps];
  __shared__ float of_parts[kParts][kWidth];
  const std::int64_t text = blockIdx.x / attention.heads;
  const std::int64_t head = blockIdx.x % attention.heads;
  const std::int64_t width = attention.heads * kWidth;
  const std::int64_t position = texts.place->position;
  const int thread = static_cast<int>(threadIdx.x);
  const int column = thread % kWidth;
  const int part = thread / kWidth;

  const Bf16* const projected = attention.projected + text * 3 * width + head * kWidth;
  Bf16* const keys = attention.cache + text * texts.max_length * 2 * width + head * kWidth;
  Bf16* const values = keys + width;
  if (part == 0) {
    query[column] = widen(projected[column]) / sqrtf(static_cast<float>(kWidth));
    keys[position * 2 * width + column] = projected[width + column];
    values[position * 2 * width + column] = projected[2 * width + column];
  }
  __syncthreads();

  float highest = -INFINITY;
  float sum = 0;
  float output = 0;
  for (std::int64_t first = 0; first <= position; first += kKeys) {
    const std::int64_t key = first + thread;
    const float score = key <= position ? dot(query, keys + key * 2 * width) : -INFINITY;
    const float new_highest = fmaxf(highest, block_reduce<Maximum>(score, of_warps));
    const float probability = expf(score - new_highest);
    const float rescale = expf(highest - new_highest);
    probabilities[thread] = probability;
    sum = sum * rescale + block_reduce<Sum>(probability, of_warps);
    output *= rescale;
    highest = new_highest;
    const std::int64_t begin = first + part * kWidth;
    const std::int64_t left = position + 1 - begin;
    const int count = left < kWidth ? static_cast<int>(left) : kWidth;
    for (int i = 0; i < count; ++i) {
      output += probabilities[part * kWidth + i] * widen(values[(begin + i) * 2 * width + column]);
    }
    __syncthreads();  // probabilities may be written again
  }
  of_parts[part][column] = output;
  __syncthreads();
  if (part == 0) {
    float total = 0;
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      total += of_parts[i][column];
    }
    attention.output[text * width + head * kWidth + column] = narrow(total / sum);
  }
}

__global__ void begin_logits_kernel(float* logits,
                                    std::int64_t count,
                                    std::int64_t vocabulary,
                                    std::int64_t stride) {
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count * stride;
       i += step) {
    logits[i] = i % stride < vocabulary ? 0.0f : -INFINITY;
  }
}

// One block.
__global__ void append_samples_kernel(DeviceTexts texts, const TokenId* samples) {
  const std::int64_t next = texts.place->position + 1;
  if (samples != nullptr && next < texts.max_length) {
    for (std::int64_t text = threadIdx.x; text < texts.count; text += kThreads) {
      if (next >= texts.prompt_lengths[text]) {
        texts.tokens[text * texts.max_length + next] = samples[text];
      }
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    texts.place->position = next;
    texts.place->offset = next * kMaxPrompts;
  }
}

}  // namespace

void embed_position(const DeviceTexts& texts,
                    std::int64_t width,
                    const float* token_embedding,
                    const float* position_embedding,
                    Bf16* output,
                    cudaStream_t stream) {
  embed_position_kernel<<<static_cast<unsigned>(texts.count), kThreads, 0, stream>>>(
      texts, width, token_embedding, position_embedding, output);
  check(cudaGetLastError(), "embed_position");
}

void attend_to_cache(const DeviceTexts& texts,
                     const CachedAttention& attention,
                     cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(texts.count * attention.heads);
  attend_to_cache_kernel<<<blocks, kKeys, 0, stream>>>(texts, attention);
  check(cudaGetLastError(), "attend_to_cache");
}

void begin_logits(float* logits,
                  std::int64_t count,
                  std::int64_t vocabulary,
                  std::int64_t stride,
                  cudaStream_t stream) {
  constexpr unsigned kBlocks = 256;
  begin_logits_kernel<<<kBlocks, kThreads, 0, stream>>>(logits, count, vocabulary, stride);
  check(cudaGetLastError(), "begin_logits");
}

void append_samples(const DeviceTexts& texts, const TokenId* samples, cudaStream_t stream) {
  append_samples_kernel<<<1, kThreads, 0, stream>>>(texts, samples);
  check(cudaGetLastError(), "append_samples");
}

}  // namespace penstock::gpu
