#include <climits>
#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "gpu/cuda/bf16_vector.cuh"
#include "gpu/cuda/check.h"
#include "gpu/cuda/transformer_kernels.h"
#include "gpu/packed_positions.h"

namespace penstock::gpu {
namespace {

constexpr unsigned kFullWarp = 0xffffffffu;
constexpr int kWarpSize = 32;
constexpr int kThreads = 256;  // of a block that has no reason for another number
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kSlab = kWarpSize * kBf16Vector;  // columns that a warp reads at once

unsigned blocks_for(std::int64_t count, std::int64_t of_a_block) {
  return static_cast<unsigned>((count + of_a_block - 1) / of_a_block);
}

__device__ int lane_index() {
  return static_cast<int>(threadIdx.x) % kWarpSize;
}

__device__ int warp_index() {
  return static_cast<int>(threadIdx.x) / kWarpSize;
}

template <typename T>
__device__ T warp_sum(T value) {
#pragma unroll
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(kFullWarp, value, step);
  }
  return value;
}

// Of a block of kBlock threads; every thread gets the sum.
template <int kBlock, typename T>
__device__ T block_sum(T value) {
  __shared__ T of_warps[kBlock / kWarpSize];
  value = warp_sum(value);
  __syncthreads();
  if (lane_index() == 0) {
    of_warps[warp_index()] = value;
  }
  __syncthreads();
  T sum = 0;
  for (int warp = 0; warp < kBlock / kWarpSize; ++warp) {
    sum += of_warps[warp];
  }
  return sum;
}

// Positions

// The segment that the position is in: cu_seqlens[s] <= position < cu_seqlens[s + 1].
__device__ std::int64_t segment_of(const DeviceBatch& batch, std::int64_t position) {
  std::int64_t low = 0;
  std::int64_t high = batch.num_segments;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    if (batch.cu_seqlens[middle] <= position) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// A thread a position.
__global__ void find_positions_kernel(DeviceBatch batch,
                                      std::int64_t vocabulary,
                                      AdamWStep step,
                                      DevicePositions positions,
                                      TrainingState* state) {
  const std::int64_t position = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (position == 0) {
    state->step = step;
    *positions.num_segments = static_cast<std::int32_t>(batch.num_segments);
  }
  if (position <= batch.num_segments) {
    positions.cu_seqlens[position] = batch.cu_seqlens[position];
  }
  if (position >= positions.count) {
    return;
  }
  const std::int64_t length = batch.shape.sequence_length;
  const std::int64_t row = position / length;
  const std::int64_t column = position % length;
  const std::int64_t row_tokens = batch.row_tokens[row];
  const TokenId* cell = batch.tokens + row * batch.shape.row_length + column;
  const std::int64_t segment = segment_of(batch, position);
  const std::int32_t end = batch.cu_seqlens[segment + 1];
  std::uint32_t token = 0;
  std::int32_t target = kNoTarget;
  if (column < row_tokens) {
    const bool is_last = column + 1 == length;
    unsigned long long unknown = cell[0] < vocabulary ? 0 : 1;
    token = cell[0] < vocabulary ? cell[0] : 0;
    if (column + 1 < row_tokens && (is_last || position + 1 < end)) {
      if (cell[1] < vocabulary) {
        target = static_cast<std::int32_t>(cell[1]);
      } else if (is_last) {
        ++unknown;  // the last target of a row, which is no position
      }
    }
    if (unknown > 0) {
      atomicAdd(&state->batch_unknown, unknown);
    }
    atomicAdd(&state->batch_tokens, 1ULL);
  }
  positions.tokens[position] = token;
  positions.targets[position] = target;
  positions.begins[position] = batch.cu_seqlens[segment];
  positions.ends[position] = end;
}

__global__ void round_to_bf16_kernel(const float* from, std::int64_t num_vectors, Bf16* to) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < num_vectors) {
    float values[kBf16Vector];
    for (int k = 0; k < kBf16Vector; ++k) {
      values[k] = from[i * kBf16Vector + k];
    }
    store_vector(values, to + i * kBf16Vector);
  }
}

// Embedding

__device__ void load_floats(const float* from, float (&values)[kBf16Vector]) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  values[0] = low.x;
  values[1] = low.y;
  values[2] = low.z;
  values[3] = low.w;
  values[4] = high.x;
  values[5] = high.y;
  values[6] = high.z;
  values[7] = high.w;
}

// A warp a position.
__global__ void __launch_bounds__(kThreads) embed_kernel(DevicePositions positions,
                                                         std::int64_t width,
                                                         const float* token_embedding,
                                                         const float* position_embedding,
                                                         Bf16* output) {
  const std::int64_t row = std::int64_t{blockIdx.x} * kWarps + warp_index();
  if (row >= positions.count) {
    return;
  }
  const float* token = token_embedding + positions.tokens[row] * width;
  const float* place = position_embedding + (row - positions.begins[row]) * width;
  for (std::int64_t i = lane_index() * kBf16Vector; i < width; i += kSlab) {
    float values[kBf16Vector];
    float more[kBf16Vector];
    load_floats(token + i, values);
    load_floats(place + i, more);
    for (int k = 0; k < kBf16Vector; ++k) {
      values[k] += more[k];
    }
    store_vector(values, output + row * width + i);
  }
}

// Sums the threads' own columns over a block's warps and adds them to `sums` [width].
__device__ void add_columns(const float (&own)[kBf16Vector],
                            std::int64_t first_column,
                            std::int64_t width,
                            float* sums) {
  __shared__ float of_warps[kWarps][kSlab];
  for (int k = 0; k < kBf16Vector; ++k) {
    of_warps[warp_index()][lane_index() * kBf16Vector + k] = own[k];
  }
  __syncthreads();
  const std::int64_t column = first_column + threadIdx.x;
  if (column < width) {
    float sum = 0;
    for (int warp = 0; warp < kWarps; ++warp) {
      sum += of_warps[warp][threadIdx.x];
    }
    sums[column] += sum;
  }
}

__device__ void add_row(const Bf16* gradient,
                        std::int64_t row,
                        std::int64_t width,
                        std::int64_t column,
                        float (&sums)[kBf16Vector]) {
  float values[kBf16Vector];
  load_vector(gradient + row * width + column, values);
  for (int k = 0; k < kBf16Vector; ++k) {
    sums[k] += values[k];
  }
}

// A block a place in the order and a slab of columns; those where a token's run begins work.
__global__ void __launch_bounds__(kThreads) add_to_tokens_kernel(std::int64_t count,
                                                                 TokenOrder order,
                                                                 const Bf16* gradient,
                                                                 std::int64_t width,
                                                                 float* d_token_embedding) {
  const std::int64_t begin = blockIdx.x;
  const std::uint32_t token = order.tokens[begin];
  if (begin > 0 && order.tokens[begin - 1] == token) {
    return;
  }
  const std::int64_t first_column = std::int64_t{blockIdx.y} * kSlab;
  const std::int64_t column = first_column + lane_index() * kBf16Vector;
  float sums[kBf16Vector] = {};
  if (column < width) {
    for (std::int64_t i = begin + warp_index(); i < count && order.tokens[i] == token;
         i += kWarps) {
      add_row(gradient, order.positions[i], width, column, sums);
    }
  }
  add_columns(sums, first_column, width, d_token_embedding + token * width);
}

// A block a position in a segment and a slab of columns.
__global__ void __launch_bounds__(kThreads) add_to_places_kernel(DevicePositions positions,
                                                                 const Bf16* gradient,
                                                                 std::int64_t width,
                                                                 float* d_position_embedding) {
  const std::int64_t place = blockIdx.x;
  const std::int64_t first_column = std::int64_t{blockIdx.y} * kSlab;
  const std::int64_t column = first_column + lane_index() * kBf16Vector;
  const int num_segments = *positions.num_segments;
  float sums[kBf16Vector] = {};
  if (column < width) {
    for (int segment = warp_index(); segment < num_segments; segment += kWarps) {
      const std::int64_t row = positions.cu_seqlens[segment] + place;
      if (row < positions.cu_seqlens[segment + 1]) {
        add_row(gradient, row, width, column, sums);
      }
    }
  }
  add_columns(sums, first_column, width, d_position_embedding + place * width);
}

__global__ void fill_ascending_kernel(std::int32_t* values, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) {
    values[i] = static_cast<std::int32_t>(i);
  }
}

// Normalisation. A warp a row, of up to kSlabs slabs of columns.

constexpr float kNormEpsilon = 1e-5f;

template <int kSlabs>
__device__ void load_row(const Bf16* row,
                         std::int64_t width,
                         float (&values)[kSlabs][kBf16Vector]) {
#pragma unroll
  for (int slab = 0; slab < kSlabs; ++slab) {
    const int column = slab * kSlab + lane_index() * kBf16Vector;
    if (column < width) {
      load_vector(row + column, values[slab]);
    } else {
#pragma unroll
      for (int k = 0; k < kBf16Vector; ++k) {
        values[slab][k] = 0;
      }
    }
  }
}

template <int kSlabs>
__global__ void __launch_bounds__(kThreads) layer_norm_kernel(DeviceNorm norm, Bf16* output) {
  const std::int64_t row = std::int64_t{blockIdx.x} * kWarps + warp_index();
  if (row >= norm.rows) {
    return;
  }
  float values[kSlabs][kBf16Vector];
  load_row(norm.input + row * norm.width, norm.width, values);
  float sum = 0;
#pragma unroll
  for (int slab = 0; slab < kSlabs; ++slab) {
#pragma unroll
    for (int k = 0; k < kBf16Vector; ++k) {
      sum += values[slab][k];
    }
  }
  const float mean = warp_sum(sum) / static_cast<float>(norm.width);
  float squares = 0;
#pragma unroll
  for (int slab = 0; slab < kSlabs; ++slab) {
    if (slab * kSlab + lane_index() * kBf16Vector < norm.width) {
#pragma unroll
      for (int k = 0; k < kBf16Vector; ++k) {
        squares += (values[slab][k] - mean) * (values[slab][k] - mean);
      }
    }
  }
  const float inverse = rsqrtf(warp_sum(squares) / static_cast<float>(norm.width) + kNormEpsilon);
#pragma unroll
  for (int slab = 0; slab < kSlabs; ++slab) {
    const int column = slab * kSlab + lane_index() * kBf16Vector;
    if (column < norm.width) {
      float weight[kBf16Vector];
      float bias[kBf16Vector];
      load_floats(norm.weight + column, weight);
      load_floats(norm.bias + column, bias);
#pragma unroll
      for (int k = 0; k < kBf16Vector; ++k) {
        values[slab][k] = (values[slab][k] - mean) * inverse * weight[k] + bias[k];
      }
      store_vector(values[slab], output + row * norm.width + column);
    }
  }
  if (lane_index() == 0) {
    norm.mean[row] = mean;
    norm.inverse_deviation[row] = inverse;
  }
}

constexpr int kNormBlocks = static_cast<int>(kNormPartialSums) / 3;

// Adds up over the warps of the block, and writes, one slab of columns of one kind of sum.
__device__ void write_partial_sums(const float (&own)[kBf16Vector],
                                   std::int64_t width,
                                   int first_column,
                                   float* partial_sums) {
  __shared__ float of_warps[kWarps][kSlab];
  __syncthreads();
#pragma unroll
  for (int k = 0; k < kBf16Vector; ++k) {
    of_warps[warp_index()][lane_index() * kBf16Vector + k] = own[k];
  }
  __syncthreads();
  const int column = first_column + static_cast<int>(threadIdx.x);
  if (column < width) {
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) {
      sum += of_warps[warp][threadIdx.x];
    }
    partial_sums[column] = sum;
  }
}

// Blocks take rows in turn and keep sums over them.
template <int kSlabs>
__global__ void __launch_bounds__(kThreads)
    layer_norm_backward_kernel(DeviceNorm norm, DeviceNormGradient gradient) {
  const std::int64_t width = norm.width;
  float weight_sums[kSlabs][kBf16Vector] = {};
  float bias_sums[kSlabs][kBf16Vector] = {};
  float input_sums[kSlabs][kBf16Vector] = {};
  for (std::int64_t row = std::int64_t{blockIdx.x} * kWarps + warp_index(); row < norm.rows;
       row += kNormBlocks * kWarps) {
    const float mean = norm.mean[row];
    const float inverse = norm.inverse_deviation[row];
    float normal[kSlabs][kBf16Vector];
    float d_normal[kSlabs][kBf16Vector];
    load_row(norm.input + row * width, width, normal);
    load_row(gradient.d_output + row * width, width, d_normal);
    float sum = 0;
    float product_sum = 0;
#pragma unroll
    for (int slab = 0; slab < kSlabs; ++slab) {
      const int column = slab * kSlab + lane_index() * kBf16Vector;
      if (column < width) {
        float weight[kBf16Vector];
        load_floats(norm.weight + column, weight);
#pragma unroll
        for (int k = 0; k < kBf16Vector; ++k) {
          normal[slab][k] = (normal[slab][k] - mean) * inverse;
          weight_sums[slab][k] += d_normal[slab][k] * normal[slab][k];
          bias_sums[slab][k] += d_normal[slab][k];
          d_normal[slab][k] *= weight[k];
          sum += d_normal[slab][k];
          product_sum += d_normal[slab][k] * normal[slab][k];
        }
      }
    }
    sum = warp_sum(sum) / static_cast<float>(width);
    product_sum = warp_sum(product_sum) / static_cast<float>(width);
#pragma unroll
    for (int slab = 0; slab < kSlabs; ++slab) {
      const int column = slab * kSlab + lane_index() * kBf16Vector;
      if (column < width) {
        float values[kBf16Vector] = {};
        if (gradient.d_before != nullptr) {
          load_vector(gradient.d_before + row * width + column, values);
        }
#pragma unroll
        for (int k = 0; k < kBf16Vector; ++k) {
          values[k] += inverse * (d_normal[slab][k] - sum - normal[slab][k] * product_sum);
        }
        store_vector(values, gradient.d_input + row * width + column);
        round_vector(values);
#pragma unroll
        for (int k = 0; k < kBf16Vector; ++k) {
          input_sums[slab][k] += values[k];
        }
      }
    }
  }
  float* partial_sums = gradient.partial_sums + std::int64_t{blockIdx.x} * 3 * width;
#pragma unroll
  for (int slab = 0; slab < kSlabs; ++slab) {
    write_partial_sums(weight_sums[slab], width, slab * kSlab, partial_sums);
    write_partial_sums(bias_sums[slab], width, slab * kSlab, partial_sums + width);
    write_partial_sums(input_sums[slab], width, slab * kSlab, partial_sums + 2 * width);
  }
}

constexpr int kSumColumns = 32;  // of a block
constexpr int kSumGroups = kThreads / kSumColumns;

// Where the sums of `count` partial sums go, [columns] each. Partial sum p of target t begins at
// element (p * 3 + t) * columns, or with one target at p * columns.
struct SumTargets {
  float* targets[3];
};

template <int kTargets>
__global__ void __launch_bounds__(kThreads) add_partial_sums_kernel(const float* partial_sums,
                                                                    int count,
                                                                    std::int64_t columns,
                                                                    SumTargets sums) {
  __shared__ float of_groups[kSumGroups][kSumColumns];
  const int group = static_cast<int>(threadIdx.x) / kSumColumns;
  const std::int64_t column = std::int64_t{blockIdx.x} * kSumColumns + threadIdx.x % kSumColumns;
  const int target = static_cast<int>(blockIdx.y);
  float sum = 0;
  if (column < columns) {
    for (int i = group; i < count; i += kSumGroups) {
      sum += partial_sums[(std::int64_t{i} * kTargets + target) * columns + column];
    }
  }
  of_groups[group][threadIdx.x % kSumColumns] = sum;
  __syncthreads();
  if (group == 0 && column < columns && sums.targets[target] != nullptr) {
    for (int other = 1; other < kSumGroups; ++other) {
      sum += of_groups[other][threadIdx.x];
    }
    sums.targets[target][column] += sum;
  }
}

// GELU

constexpr float kGeluScale = 0.7978845608f;  // sqrt(2 / pi)
constexpr float kGeluCubic = 0.044715f;

// 1 - 2 / (exp(2 x) + 1), right at both ends of the range.
__device__ float fast_tanh(float x) {
  return 1 - 2 / (__expf(2 * x) + 1);
}

__global__ void __launch_bounds__(kThreads)
    gelu_kernel(const Bf16* input, std::int64_t num_vectors, Bf16* output) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= num_vectors) {
    return;
  }
  float values[kBf16Vector];
  load_vector(input + i * kBf16Vector, values);
#pragma unroll
  for (float& x : values) {
    x = 0.5f * x * (1 + fast_tanh(kGeluScale * (x + kGeluCubic * x * x * x)));
  }
  store_vector(values, output + i * kBf16Vector);
}

__device__ float gelu_slope(float x) {
  const float tanh = fast_tanh(kGeluScale * (x + kGeluCubic * x * x * x));
  const float slope = kGeluScale * (1 + 3 * kGeluCubic * x * x);
  return 0.5f * (1 + tanh + x * (1 - tanh * tanh) * slope);
}

// A block a slab of columns and a stretch of rows; its warps take them in turn.
template <bool kIsGelu>
__global__ void __launch_bounds__(kThreads) sum_rows_kernel(DeviceRows rows, const Bf16* input) {
  const std::int64_t rows_of_block = (rows.rows + kRowPartialSums - 1) / kRowPartialSums;
  const std::int64_t begin = blockIdx.y * rows_of_block;
  const std::int64_t end = min(begin + rows_of_block, rows.rows);
  const int first_column = static_cast<int>(blockIdx.x) * kSlab;
  const int column = first_column + lane_index() * kBf16Vector;
  float sums[kBf16Vector] = {};
  if (column < rows.columns) {
    for (std::int64_t row = begin + warp_index(); row < end; row += kWarps) {
      const std::int64_t at = row * rows.columns + column;
      float values[kBf16Vector];
      load_vector(rows.values + at, values);
      if (kIsGelu) {
        float x[kBf16Vector];
        load_vector(input + at, x);
#pragma unroll
        for (int k = 0; k < kBf16Vector; ++k) {
          values[k] *= gelu_slope(x[k]);
        }
        store_vector(values, rows.values + at);
        round_vector(values);
      }
#pragma unroll
      for (int k = 0; k < kBf16Vector; ++k) {
        sums[k] += values[k];
      }
    }
  }
  write_partial_sums(sums,
                     rows.columns,
                     first_column,
                     rows.partial_sums + std::int64_t{blockIdx.y} * rows.columns);
}

// Predictions

constexpr int kPredictThreads = 512;

// A softmax as far as it was read.
struct Softmax {
  float highest = -INFINITY;
  float sum = 0;  // of exp(logit - highest)
  std::int32_t highest_id = INT_MAX;

  __device__ void add(const Softmax& more) {
    const float new_highest = fmaxf(highest, more.highest);
    if (more.highest > highest || (more.highest == highest && more.highest_id < highest_id)) {
      highest_id = more.highest_id;
    }
    // Both may have seen nothing yet.
    const float base = new_highest == -INFINITY ? 0 : new_highest;
    sum = sum * __expf(highest - base) + more.sum * __expf(more.highest - base);
    highest = new_highest;
  }
};

__device__ Softmax shuffled(const Softmax& softmax, int step) {
  return {__shfl_xor_sync(kFullWarp, softmax.highest, step),
          __shfl_xor_sync(kFullWarp, softmax.sum, step),
          __shfl_xor_sync(kFullWarp, softmax.highest_id, step)};
}

__device__ Softmax softmax_of_block(Softmax softmax) {
  __shared__ Softmax of_warps[kPredictThreads / kWarpSize];
#pragma unroll
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    softmax.add(shuffled(softmax, step));
  }
  if (lane_index() == 0) {
    of_warps[warp_index()] = softmax;
  }
  __syncthreads();
  Softmax whole = of_warps[0];
  for (int warp = 1; warp < kPredictThreads / kWarpSize; ++warp) {
    whole.add(of_warps[warp]);
  }
  return whole;
}

// A block a position.
template <bool kGoesBack>
__global__ void __launch_bounds__(kPredictThreads) predict_kernel(DevicePredictions predictions) {
  const std::int64_t position = predictions.first + blockIdx.x;
  const std::int32_t target = predictions.targets[position];
  Bf16* logits = predictions.logits + std::int64_t{blockIdx.x} * predictions.stride;
  const int vocabulary = static_cast<int>(predictions.vocabulary);
  const int stride = static_cast<int>(predictions.stride);
  if (target == kNoTarget) {
    if (kGoesBack) {
      const float zeros[kBf16Vector] = {};
      for (int i = static_cast<int>(threadIdx.x) * kBf16Vector; i < stride;
           i += kPredictThreads * kBf16Vector) {
        store_vector(zeros, logits + i);
      }
    }
    if (threadIdx.x == 0) {
      predictions.losses[position] = 0;
      predictions.correct[position] = 0;
    }
    return;
  }

  Softmax own;
  for (int i = static_cast<int>(threadIdx.x) * kBf16Vector; i < stride;
       i += kPredictThreads * kBf16Vector) {
    float values[kBf16Vector];
    load_vector(logits + i, values);
    Softmax of_vector;
#pragma unroll
    for (int k = 0; k < kBf16Vector; ++k) {
      values[k] = i + k < vocabulary ? values[k] : -INFINITY;
      if (values[k] > of_vector.highest) {
        of_vector.highest = values[k];
        of_vector.highest_id = i + k;
      }
    }
    const float base = of_vector.highest == -INFINITY ? 0 : of_vector.highest;
#pragma unroll
    for (int k = 0; k < kBf16Vector; ++k) {
      of_vector.sum += __expf(values[k] - base);
    }
    own.add(of_vector);
  }
  const Softmax softmax = softmax_of_block(own);
  if (threadIdx.x == 0) {
    const float logit = __uint_as_float(static_cast<unsigned>(logits[target]) << 16);
    predictions.losses[position] = softmax.highest + logf(softmax.sum) - logit;
    predictions.correct[position] = softmax.highest_id == target ? 1 : 0;
  }
  if (!kGoesBack) {
    return;
  }
  __syncthreads();  // the target's logit has been read
  const float inverse = 1 / softmax.sum;
  for (int i = static_cast<int>(threadIdx.x) * kBf16Vector; i < stride;
       i += kPredictThreads * kBf16Vector) {
    float values[kBf16Vector];
    load_vector(logits + i, values);
#pragma unroll
    for (int k = 0; k < kBf16Vector; ++k) {
      const float probability = __expf(values[k] - softmax.highest) * inverse;
      values[k] = i + k < vocabulary ? probability - (i + k == target ? 1.0f : 0.0f) : 0;
    }
    store_vector(values, logits + i);
  }
}

constexpr int kTotalThreads = 1024;

// One block.
__global__ void __launch_bounds__(kTotalThreads) add_losses_kernel(std::int64_t count,
                                                                   const std::int32_t* targets,
                                                                   const float* losses,
                                                                   const std::uint8_t* correct,
                                                                   bool is_evaluation,
                                                                   TrainingState* state) {
  double loss_sum = 0;
  long long num_scored = 0;
  long long num_correct = 0;
  long long first_bad = count;
  for (std::int64_t i = threadIdx.x; i < count; i += kTotalThreads) {
    if (targets[i] == kNoTarget) {
      continue;
    }
    loss_sum += losses[i];
    ++num_scored;
    num_correct += correct[i];
    if (!isfinite(losses[i]) && i < first_bad) {
      first_bad = i;
    }
  }
  loss_sum = block_sum<kTotalThreads>(loss_sum);
  num_scored = block_sum<kTotalThreads>(num_scored);
  num_correct = block_sum<kTotalThreads>(num_correct);
  __shared__ unsigned long long lowest_bad;
  if (threadIdx.x == 0) {
    lowest_bad = static_cast<unsigned long long>(count);
  }
  __syncthreads();
  atomicMin(&lowest_bad, static_cast<unsigned long long>(first_bad));
  __syncthreads();
  if (threadIdx.x != 0) {
    return;
  }
  TrainingTotals& totals = state->totals;
  if (is_evaluation) {
    totals.evaluated_loss_sum += loss_sum;
    totals.num_evaluated += num_scored;
  } else {
    totals.loss_sum += loss_sum;
    totals.num_scored += num_scored;
    totals.num_correct += num_correct;
    totals.num_tokens += static_cast<std::int64_t>(state->batch_tokens);
    state->gradient_scored += num_scored;
    if (totals.bad_batch < 0 && lowest_bad < static_cast<unsigned long long>(count)) {
      totals.bad_batch = totals.num_batches;
      totals.bad_position = static_cast<std::int64_t>(lowest_bad);
    }
  }
  totals.num_unknown += static_cast<std::int64_t>(state->batch_unknown);
  state->batch_tokens = 0;
  state->batch_unknown = 0;
}

// Steps

// Blocks take elements in turn.
__global__ void __launch_bounds__(kThreads)
    sum_squares_kernel(const float4* gradient, std::int64_t num_vectors, double* partial_squares) {
  double sum = 0;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < num_vectors;
       i += kSquarePartialSums * kThreads) {
    const float4 g = gradient[i];
    sum += static_cast<double>(g.x * g.x + g.y * g.y + g.z * g.z + g.w * g.w);
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) {
    partial_squares[blockIdx.x] = sum;
  }
}

// One block.
__global__ void __launch_bounds__(kSquarePartialSums)
    prepare_step_kernel(const double* partial_squares, double gradient_clip, TrainingState* state) {
  const double squares =
      block_sum<static_cast<int>(kSquarePartialSums)>(partial_squares[threadIdx.x]);
  if (threadIdx.x != 0) {
    return;
  }
  TrainingTotals& totals = state->totals;
  state->gradient_scale = 0;
  if (state->gradient_scored == 0) {
    return;
  }
  const auto num_scored = static_cast<double>(state->gradient_scored);
  const double norm = sqrt(squares) / num_scored;
  totals.gradient_norm = norm;
  if (!isfinite(norm) && totals.bad_batch < 0) {
    totals.bad_batch = totals.num_batches;
    totals.bad_position = -1;
  }
  if (totals.bad_batch < 0) {
    const double clip = gradient_clip > 0 ? fmin(1.0, gradient_clip / (norm + 1e-6)) : 1.0;
    state->gradient_scale = static_cast<float>(clip / num_scored);
  }
  state->gradient_scored = 0;
}

// AdamWOptions in fp32.
struct AdamWFactors {
  float beta1;
  float beta2;
  float epsilon;
  float weight_decay;
};

// A thread four elements.
__global__ void __launch_bounds__(kThreads) take_step_kernel(DeviceParameters parameters,
                                                             AdamWFactors factors,
                                                             const TrainingState* state) {
  const float scale = state->gradient_scale;
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (scale == 0 || i * 4 >= parameters.count) {
    return;
  }
  const AdamWStep step = state->step;
  const float kept =
      i * 4 < parameters.num_decaying ? 1 - step.learning_rate * factors.weight_decay : 1;
  float4 p = reinterpret_cast<float4*>(parameters.parameters)[i];
  float4 m = reinterpret_cast<float4*>(parameters.first_moment)[i];
  float4 v = reinterpret_cast<float4*>(parameters.second_moment)[i];
  const float4 g = reinterpret_cast<float4*>(parameters.gradient)[i];
  const auto change = [&](float& parameter, float& first, float& second, float gradient) {
    gradient *= scale;
    first = factors.beta1 * first + (1 - factors.beta1) * gradient;
    second = factors.beta2 * second + (1 - factors.beta2) * gradient * gradient;
    parameter = kept * parameter - step.learning_rate * first * step.correction1 /
                                       (sqrtf(second * step.correction2) + factors.epsilon);
  };
  change(p.x, m.x, v.x, g.x);
  change(p.y, m.y, v.y, g.y);
  change(p.z, m.z, v.z, g.z);
  change(p.w, m.w, v.w, g.w);
  reinterpret_cast<float4*>(parameters.parameters)[i] = p;
  reinterpret_cast<float4*>(parameters.first_moment)[i] = m;
  reinterpret_cast<float4*>(parameters.second_moment)[i] = v;
  reinterpret_cast<float4*>(parameters.gradient)[i] = {0, 0, 0, 0};
  reinterpret_cast<uint2*>(parameters.rounded)[i] = {bf16_pair(p.x, p.y), bf16_pair(p.z, p.w)};
}

__global__ void finish_batch_kernel(TrainingState* state) {
  unsigned long long nanoseconds = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(nanoseconds));
  ++state->totals.num_batches;
  state->totals.nanoseconds = static_cast<std::int64_t>(nanoseconds);
}

// Calls launch(std::integral_constant<int, slabs>) for the slabs that a row of this width has.
template <typename Launch>
void with_slabs(std::int64_t width, const Launch& launch) {
  switch ((width + kSlab - 1) / kSlab) {
    case 1:
      return launch(std::integral_constant<int, 1>());
    case 2:
      return launch(std::integral_constant<int, 2>());
    case 3:
      return launch(std::integral_constant<int, 3>());
    case 4:
      return launch(std::integral_constant<int, 4>());
    case 5:
    case 6:
      return launch(std::integral_constant<int, 6>());
    case 7:
    case 8:
      return launch(std::integral_constant<int, 8>());
    default:
      throw std::logic_error("rows of " + std::to_string(width) + " elements are too wide");
  }
}

}  // namespace

void find_positions(const DeviceBatch& batch,
                    std::int64_t vocabulary,
                    const AdamWStep& step,
                    const DevicePositions& positions,
                    TrainingState* state,
                    cudaStream_t stream) {
  find_positions_kernel<<<blocks_for(positions.count + 1, kThreads), kThreads, 0, stream>>>(
      batch, vocabulary, step, positions, state);
  check(cudaGetLastError(), "find_positions");
}

void round_to_bf16(const float* from, std::int64_t count, Bf16* to, cudaStream_t stream) {
  const std::int64_t num_vectors = count / kBf16Vector;
  round_to_bf16_kernel<<<blocks_for(num_vectors, kThreads), kThreads, 0, stream>>>(
      from, num_vectors, to);
  check(cudaGetLastError(), "round_to_bf16");
}

void embed(const DevicePositions& positions,
           std::int64_t width,
           const float* token_embedding,
           const float* position_embedding,
           Bf16* output,
           cudaStream_t stream) {
  embed_kernel<<<blocks_for(positions.count, kWarps), kThreads, 0, stream>>>(
      positions, width, token_embedding, position_embedding, output);
  check(cudaGetLastError(), "embed");
}

void layer_norm(const DeviceNorm& norm, Bf16* output, cudaStream_t stream) {
  with_slabs(norm.width, [&](auto slabs) {
    layer_norm_kernel<slabs()>
        <<<blocks_for(norm.rows, kWarps), kThreads, 0, stream>>>(norm, output);
  });
  check(cudaGetLastError(), "layer_norm");
}

void layer_norm_backward(const DeviceNorm& norm,
                         const DeviceNormGradient& gradient,
                         cudaStream_t stream) {
  with_slabs(norm.width, [&](auto slabs) {
    layer_norm_backward_kernel<slabs()><<<kNormBlocks, kThreads, 0, stream>>>(norm, gradient);
  });
  check(cudaGetLastError(), "layer_norm_backward");
  const dim3 grid(blocks_for(norm.width, kSumColumns), 3);
  add_partial_sums_kernel<3><<<grid, kThreads, 0, stream>>>(
      gradient.partial_sums,
      kNormBlocks,
      norm.width,
      {{gradient.d_weight, gradient.d_bias, gradient.d_input_sums}});
  check(cudaGetLastError(), "layer_norm_backward");
}

void gelu(const Bf16* input, std::int64_t count, Bf16* output, cudaStream_t stream) {
  const std::int64_t num_vectors = count / kBf16Vector;
  gelu_kernel<<<blocks_for(num_vectors, kThreads), kThreads, 0, stream>>>(
      input, num_vectors, output);
  check(cudaGetLastError(), "gelu");
}

namespace {

template <bool kIsGelu>
void sum_rows(const DeviceRows& rows, const Bf16* input, float* sums, cudaStream_t stream) {
  const dim3 grid(blocks_for(rows.columns, kSlab), static_cast<unsigned>(kRowPartialSums));
  sum_rows_kernel<kIsGelu><<<grid, kThreads, 0, stream>>>(rows, input);
  check(cudaGetLastError(), "sum_rows");
  add_partial_sums_kernel<1><<<blocks_for(rows.columns, kSumColumns), kThreads, 0, stream>>>(
      rows.partial_sums,
      static_cast<int>(kRowPartialSums),
      rows.columns,
      {{sums, nullptr, nullptr}});
  check(cudaGetLastError(), "sum_rows");
}

}  // namespace

void gelu_backward(const DeviceRows& gradient,
                   const Bf16* input,
                   float* sums,
                   cudaStream_t stream) {
  sum_rows<true>(gradient, input, sums, stream);
}

void add_row_sums(const DeviceRows& rows, float* sums, cudaStream_t stream) {
  sum_rows<false>(rows, nullptr, sums, stream);
}

void predict(const DevicePredictions& predictions, bool goes_back, cudaStream_t stream) {
  const auto kernel = goes_back ? predict_kernel<true> : predict_kernel<false>;
  kernel<<<static_cast<unsigned>(predictions.count), kPredictThreads, 0, stream>>>(predictions);
  check(cudaGetLastError(), "predict");
}

void add_losses(const DevicePositions& positions,
                const float* losses,
                const std::uint8_t* correct,
                bool is_evaluation,
                TrainingState* state,
                cudaStream_t stream) {
  add_losses_kernel<<<1, kTotalThreads, 0, stream>>>(
      positions.count, positions.targets, losses, correct, is_evaluation, state);
  check(cudaGetLastError(), "add_losses");
}

void fill_ascending(std::int32_t* values, std::int64_t count, cudaStream_t stream) {
  fill_ascending_kernel<<<blocks_for(count, kThreads), kThreads, 0, stream>>>(values, count);
  check(cudaGetLastError(), "fill_ascending");
}

void embed_backward(const DevicePositions& positions,
                    const TokenOrder& order,
                    const Bf16* gradient,
                    std::int64_t width,
                    std::int64_t max_length,
                    float* d_token_embedding,
                    float* d_position_embedding,
                    cudaStream_t stream) {
  const unsigned slabs = blocks_for(width, kSlab);
  const dim3 of_tokens(static_cast<unsigned>(positions.count), slabs);
  add_to_tokens_kernel<<<of_tokens, kThreads, 0, stream>>>(
      positions.count, order, gradient, width, d_token_embedding);
  check(cudaGetLastError(), "embed_backward");
  const dim3 of_places(static_cast<unsigned>(max_length), slabs);
  add_to_places_kernel<<<of_places, kThreads, 0, stream>>>(
      positions, gradient, width, d_position_embedding);
  check(cudaGetLastError(), "embed_backward");
}

void take_step(const DeviceParameters& parameters,
               const AdamWOptions& options,
               TrainingState* state,
               cudaStream_t stream) {
  sum_squares_kernel<<<static_cast<unsigned>(kSquarePartialSums), kThreads, 0, stream>>>(
      reinterpret_cast<const float4*>(parameters.gradient),
      parameters.count / 4,
      parameters.partial_squares);
  check(cudaGetLastError(), "take_step");
  prepare_step_kernel<<<1, static_cast<unsigned>(kSquarePartialSums), 0, stream>>>(
      parameters.partial_squares, options.gradient_clip, state);
  check(cudaGetLastError(), "take_step");
  const AdamWFactors factors = {static_cast<float>(options.beta1),
                                static_cast<float>(options.beta2),
                                static_cast<float>(options.epsilon),
                                static_cast<float>(options.weight_decay)};
  take_step_kernel<<<blocks_for(parameters.count / 4, kThreads), kThreads, 0, stream>>>(
      parameters, factors, state);
  check(cudaGetLastError(), "take_step");
}

void finish_batch(TrainingState* state, cudaStream_t stream) {
  finish_batch_kernel<<<1, 1, 0, stream>>>(state);
  check(cudaGetLastError(), "finish_batch");
}

}  // namespace penstock::gpu
