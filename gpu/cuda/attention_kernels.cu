#include <climits>
#include <cmath>

#include "gpu/cuda/attention_kernels.h"
#include "gpu/cuda/bf16_vector.cuh"
#include "gpu/cuda/check.h"
#include "gpu/cuda/tensor_core.cuh"

// A warp computes 16 rows of scores (of queries, or on the way to the gradients of keys and values,
// of keys) with a tile of the other side that lies in shared memory. Tiles are of positions in the
// whole batch, whatever rows and segments they are of; masks follow from begins and ends alone, and
// tiles that no row of a block can see are passed over.
namespace penstock::gpu {
namespace {

constexpr int kWidth = static_cast<int>(kAttentionHeadWidth);
constexpr int kWarpSize = 32;
constexpr int kWarpRows = 16;
constexpr int kTile = 64;                 // positions of a tile in shared memory
constexpr int kChunk = 8;                 // elements of 16 bytes
constexpr int kChunks = kWidth / kChunk;  // of a row of a tile
constexpr int kRowBytes = kWidth * sizeof(Bf16);
constexpr int kTileElements = kTile * kWidth;
constexpr int kSteps = kWidth / 16;                      // of a product over the width of a head
constexpr float kScale = 0.125f;                         // 1 / sqrt(kWidth)
constexpr float kScale2 = kScale * 1.4426950408889634f;  // for powers of 2

// Accumulators of 16 rows and 8 columns for each kCount.
template <int kCount>
using Fragments = float[kCount][4];
// 16 rows of a head as the left factor of a product.
using Rows = std::uint32_t[kSteps][4];

__device__ int lane_index() {
  return static_cast<int>(threadIdx.x) % kWarpSize;
}

__device__ int warp_index() {
  return static_cast<int>(threadIdx.x) / kWarpSize;
}

// Chunks are swapped around within a row, so that those of eight rows lie in different banks.
__device__ std::uint32_t chunk_address(std::uint32_t tile, int row, int chunk) {
  return tile + row * kRowBytes + ((chunk ^ (row & 7)) << 4);
}

// Starts to copy positions [first, first + kRows) of one head; positions from `end` on are zero.
template <int kRows, int kThreads>
__device__ void copy_tile(
    std::uint32_t tile, const Bf16* head, std::int64_t stride, int first, int end) {
#pragma unroll
  for (int i = 0; i < kRows * kChunks / kThreads; ++i) {
    const int index = i * kThreads + static_cast<int>(threadIdx.x);
    const int row = index / kChunks;
    const int chunk = index % kChunks;
    const bool exists = first + row < end;
    const Bf16* from = head + (exists ? first + row : 0) * stride + chunk * kChunk;
    copy_async(chunk_address(tile, row, chunk), from, exists);
  }
}

__device__ void load_rows(Rows& rows, std::uint32_t tile, int first) {
  const int lane = lane_index();
  const int row = first + (lane & 7) + ((lane >> 3) & 1) * 8;
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    load_matrices(rows[step], chunk_address(tile, row, 2 * step + (lane >> 4)));
  }
}

// scores = rows * transpose of the tile's rows [first, first + 8 * kCount)
template <int kCount>
__device__ void score(Fragments<kCount>& scores, const Rows& rows, std::uint32_t tile, int first) {
  const int lane = lane_index();
#pragma unroll
  for (int n = 0; n < kCount; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[n][i] = 0;
    }
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
#pragma unroll
    for (int pair = 0; pair < kCount / 2; ++pair) {
      const int row = first + pair * 16 + ((lane >> 4) << 3) + (lane & 7);
      std::uint32_t right[4];
      load_matrices(right, chunk_address(tile, row, 2 * step + ((lane >> 3) & 1)));
      multiply_add(scores[2 * pair], rows[step], right[0], right[1]);
      multiply_add(scores[2 * pair + 1], rows[step], right[2], right[3]);
    }
  }
}

// sums [16, kWidth] += weights [16, 8 * kCount] * the tile's rows [first, first + 8 * kCount)
template <int kCount>
__device__ void add_weighted(Fragments<kChunks>& sums,
                             const Fragments<kCount>& weights,
                             std::uint32_t tile,
                             int first) {
  const int lane = lane_index();
#pragma unroll
  for (int step = 0; step < kCount / 2; ++step) {
    const float(&low)[4] = weights[2 * step];
    const float(&high)[4] = weights[2 * step + 1];
    const std::uint32_t left[4] = {bf16_pair(low[0], low[1]),
                                   bf16_pair(low[2], low[3]),
                                   bf16_pair(high[0], high[1]),
                                   bf16_pair(high[2], high[3])};
    const int row = first + step * 16 + ((lane >> 3) & 1) * 8 + (lane & 7);
#pragma unroll
    for (int pair = 0; pair < kChunks / 2; ++pair) {
      std::uint32_t right[4];
      load_transposed(right, chunk_address(tile, row, 2 * pair + (lane >> 4)));
      multiply_add(sums[2 * pair], left, right[0], right[1]);
      multiply_add(sums[2 * pair + 1], left, right[2], right[3]);
    }
  }
}

__device__ void clear(Fragments<kChunks>& sums) {
#pragma unroll
  for (int n = 0; n < kChunks; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sums[n][i] = 0;
    }
  }
}

// Writes the rows `low` and `low + 8` of a warp, times their factors, where they are below `end`.
__device__ void write_rows(const Fragments<kChunks>& sums,
                           float low_factor,
                           float high_factor,
                           Bf16* head,
                           std::int64_t stride,
                           int low,
                           int end) {
  const int column = 2 * (lane_index() % 4);
#pragma unroll
  for (int n = 0; n < kChunks; ++n) {
    if (low < end) {
      *reinterpret_cast<std::uint32_t*>(head + low * stride + n * 8 + column) =
          bf16_pair(sums[n][0] * low_factor, sums[n][1] * low_factor);
    }
    if (low + 8 < end) {
      *reinterpret_cast<std::uint32_t*>(head + (low + 8) * stride + n * 8 + column) =
          bf16_pair(sums[n][2] * high_factor, sums[n][3] * high_factor);
    }
  }
}

// Of the four lanes that share a row.
__device__ float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}

__device__ float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

// What a warp of queries sees: for row r, keys from begins[r] to r.
struct QueryWarp {
  __device__ QueryWarp(const DeviceAttention& attention, int block_first)
      : end(static_cast<int>(attention.positions)),
        first(block_first + warp_index() * kWarpRows),
        last(min(first + kWarpRows, end) - 1),
        low(first + lane_index() / 4),
        low_begin(low < end ? attention.begins[low] : INT_MAX),
        high_begin(low + 8 < end ? attention.begins[low + 8] : INT_MAX),
        first_begin(first < end ? attention.begins[first] : INT_MAX),
        last_begin(first < end ? attention.begins[last] : INT_MAX) {}

  __device__ bool sees_some_of(int tile_first) const {
    return first < end && tile_first <= last && tile_first + kTile > first_begin;
  }
  // Then no mask is needed.
  __device__ bool sees_all_of(int tile_first) const {
    return tile_first + kTile - 1 <= first && tile_first >= last_begin && first + kWarpRows <= end;
  }
  __device__ bool low_sees(int key) const { return key <= low && key >= low_begin; }
  __device__ bool high_sees(int key) const { return key <= low + 8 && key >= high_begin; }

  const int end;        // of the batch
  const int first;      // row of the warp
  const int last;       // row of the warp that exists
  const int low;        // rows of the thread: this one and the eighth behind it
  const int low_begin;  // of these two
  const int high_begin;
  const int first_begin;  // of the warp's first row and its last one
  const int last_begin;
};

constexpr int kQueryWarps = 8;
constexpr int kQueryThreads = kQueryWarps * kWarpSize;
constexpr int kQueries = kQueryWarps * kWarpRows;  // of a block

// A block 128 queries of a head; its warps share the tiles of keys and values.
__global__ void __launch_bounds__(kQueryThreads, 2) attend_kernel(DeviceAttention attention) {
  __shared__ alignas(128) Bf16 query_memory[kQueries * kWidth];
  __shared__ alignas(128) Bf16 key_memory[2][kTileElements];
  __shared__ alignas(128) Bf16 value_memory[2][kTileElements];
  const std::int64_t width = attention.heads * kWidth;
  const std::int64_t stride = 3 * width;
  const int head = static_cast<int>(blockIdx.y);
  const Bf16* queries = attention.projected + head * kWidth;
  const Bf16* keys = queries + width;
  const Bf16* values = keys + width;
  // The blocks with most to do may come last in a row; they begin first.
  const int block_first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kQueries;
  const QueryWarp warp(attention, block_first);
  const int last_query = min(block_first + kQueries, warp.end) - 1;
  const int first_key = attention.begins[block_first] / kTile * kTile;
  const int num_tiles = (last_query - first_key) / kTile + 1;

  const auto copy = [&](int tile) {
    const int first = first_key + tile * kTile;
    copy_tile<kTile, kQueryThreads>(
        shared_address(key_memory[tile & 1]), keys, stride, first, warp.end);
    copy_tile<kTile, kQueryThreads>(
        shared_address(value_memory[tile & 1]), values, stride, first, warp.end);
    commit_copies();
  };
  const std::uint32_t query_tile = shared_address(query_memory);
  copy_tile<kQueries, kQueryThreads>(query_tile, queries, stride, block_first, warp.end);
  commit_copies();
  copy(0);
  wait_for_copies<1>();
  __syncthreads();
  Rows rows;
  load_rows(rows, query_tile, warp_index() * kWarpRows);

  Fragments<kChunks> sums;
  clear(sums);
  float low_max = -INFINITY;
  float high_max = -INFINITY;
  float low_sum = 0;  // of the thread's own columns
  float high_sum = 0;
  for (int tile = 0; tile < num_tiles; ++tile) {
    if (tile + 1 < num_tiles) {
      copy(tile + 1);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    const int first = first_key + tile * kTile;
    if (warp.sees_some_of(first)) {
      Fragments<kTile / 8> scores;
      score(scores, rows, shared_address(key_memory[tile & 1]), 0);
      if (!warp.sees_all_of(first)) {
#pragma unroll
        for (int n = 0; n < kTile / 8; ++n) {
          const int key = first + n * 8 + 2 * (lane_index() % 4);
          scores[n][0] = warp.low_sees(key) ? scores[n][0] : -INFINITY;
          scores[n][1] = warp.low_sees(key + 1) ? scores[n][1] : -INFINITY;
          scores[n][2] = warp.high_sees(key) ? scores[n][2] : -INFINITY;
          scores[n][3] = warp.high_sees(key + 1) ? scores[n][3] : -INFINITY;
        }
      }
      float low_tile_max = -INFINITY;
      float high_tile_max = -INFINITY;
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
        low_tile_max = fmaxf(low_tile_max, fmaxf(scores[n][0], scores[n][1]));
        high_tile_max = fmaxf(high_tile_max, fmaxf(scores[n][2], scores[n][3]));
      }
      const float low_new = fmaxf(low_max, row_max(low_tile_max));
      const float high_new = fmaxf(high_max, row_max(high_tile_max));
      // A row that has seen nothing yet has no highest score.
      const float low_base = low_new == -INFINITY ? 0 : low_new * kScale2;
      const float high_base = high_new == -INFINITY ? 0 : high_new * kScale2;
      const float low_factor = exp2f(low_max * kScale2 - low_base);
      const float high_factor = exp2f(high_max * kScale2 - high_base);
      low_max = low_new;
      high_max = high_new;
      low_sum *= low_factor;
      high_sum *= high_factor;
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
        scores[n][0] = exp2f(scores[n][0] * kScale2 - low_base);
        scores[n][1] = exp2f(scores[n][1] * kScale2 - low_base);
        scores[n][2] = exp2f(scores[n][2] * kScale2 - high_base);
        scores[n][3] = exp2f(scores[n][3] * kScale2 - high_base);
        low_sum += scores[n][0] + scores[n][1];
        high_sum += scores[n][2] + scores[n][3];
      }
#pragma unroll
      for (int n = 0; n < kChunks; ++n) {
        sums[n][0] *= low_factor;
        sums[n][1] *= low_factor;
        sums[n][2] *= high_factor;
        sums[n][3] *= high_factor;
      }
      add_weighted(sums, scores, shared_address(value_memory[tile & 1]), 0);
    }
    __syncthreads();
  }

  low_sum = row_sum(low_sum);
  high_sum = row_sum(high_sum);
  write_rows(
      sums, 1 / low_sum, 1 / high_sum, attention.output + head * kWidth, width, warp.low, warp.end);
  if (lane_index() % 4 == 0) {
    float* log_sums = attention.log_sums + head * attention.positions;
    if (warp.low < warp.end) {
      log_sums[warp.low] = low_max * kScale2 + log2f(low_sum);
    }
    if (warp.low + 8 < warp.end) {
      log_sums[warp.low + 8] = high_max * kScale2 + log2f(high_sum);
    }
  }
}

constexpr int kMeanThreads = 256;
constexpr int kMeanLanes = kWidth / kChunk;  // that share a head of a position

// means = sum over a head of output * d_output: the mean of the gradient of the scores' softmax.
__global__ void __launch_bounds__(kMeanThreads)
    sum_products_kernel(DeviceAttention attention, DeviceAttentionGradient gradient) {
  const std::int64_t index = std::int64_t{blockIdx.x} * kMeanThreads + threadIdx.x;
  const std::int64_t place = index / kMeanLanes;  // [positions, heads]
  float sum = 0;
  if (place < attention.positions * attention.heads) {
    float left[kBf16Vector];
    float right[kBf16Vector];
    load_vector(attention.output + index * kBf16Vector, left);
    load_vector(gradient.d_output + index * kBf16Vector, right);
#pragma unroll
    for (int i = 0; i < kBf16Vector; ++i) {
      sum += left[i] * right[i];
    }
  }
#pragma unroll
  for (int step = 1; step < kMeanLanes; step *= 2) {
    sum += __shfl_xor_sync(0xffffffffu, sum, step);
  }
  if (place < attention.positions * attention.heads && threadIdx.x % kMeanLanes == 0) {
    const std::int64_t position = place / attention.heads;
    const std::int64_t head = place % attention.heads;
    gradient.means[head * attention.positions + position] = sum;
  }
}

constexpr int kHalf = kTile / 2;  // of a tile: what scores exist of at a time on the way back

// A block 128 queries of a head: their gradient.
__global__ void __launch_bounds__(kQueryThreads, 2)
    attend_queries_backward_kernel(DeviceAttention attention, DeviceAttentionGradient gradient) {
  __shared__ alignas(128) Bf16 memory[4][kTileElements];  // two tiles of keys, two of values
  const std::int64_t width = attention.heads * kWidth;
  const std::int64_t stride = 3 * width;
  const int head = static_cast<int>(blockIdx.y);
  const Bf16* queries = attention.projected + head * kWidth;
  const Bf16* keys = queries + width;
  const Bf16* values = keys + width;
  const int block_first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kQueries;
  const QueryWarp warp(attention, block_first);
  const int last_query = min(block_first + kQueries, warp.end) - 1;
  const int first_key = attention.begins[block_first] / kTile * kTile;
  const int num_tiles = (last_query - first_key) / kTile + 1;

  // Queries and gradients go through the same memory before the tiles do.
  Rows rows;
  Rows d_rows;
  copy_tile<kQueries, kQueryThreads>(
      shared_address(memory[0]), queries, stride, block_first, warp.end);
  copy_tile<kQueries, kQueryThreads>(
      shared_address(memory[2]), gradient.d_output + head * kWidth, width, block_first, warp.end);
  commit_copies();
  wait_for_copies<0>();
  __syncthreads();
  load_rows(rows, shared_address(memory[0]), warp_index() * kWarpRows);
  load_rows(d_rows, shared_address(memory[2]), warp_index() * kWarpRows);
  __syncthreads();

  const auto copy = [&](int tile) {
    const int first = first_key + tile * kTile;
    copy_tile<kTile, kQueryThreads>(
        shared_address(memory[tile & 1]), keys, stride, first, warp.end);
    copy_tile<kTile, kQueryThreads>(
        shared_address(memory[2 + (tile & 1)]), values, stride, first, warp.end);
    commit_copies();
  };
  const std::int64_t of_head = head * attention.positions;
  const bool has_low = warp.low < warp.end;
  const bool has_high = warp.low + 8 < warp.end;
  const float low_log_sum = has_low ? attention.log_sums[of_head + warp.low] : 0;
  const float high_log_sum = has_high ? attention.log_sums[of_head + warp.low + 8] : 0;
  const float low_mean = has_low ? gradient.means[of_head + warp.low] : 0;
  const float high_mean = has_high ? gradient.means[of_head + warp.low + 8] : 0;

  Fragments<kChunks> sums;
  clear(sums);
  copy(0);
  for (int tile = 0; tile < num_tiles; ++tile) {
    if (tile + 1 < num_tiles) {
      copy(tile + 1);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    const int first = first_key + tile * kTile;
    if (warp.sees_some_of(first)) {
      const std::uint32_t key_tile = shared_address(memory[tile & 1]);
      const std::uint32_t value_tile = shared_address(memory[2 + (tile & 1)]);
      const bool sees_all = warp.sees_all_of(first);
#pragma unroll
      for (int half = 0; half < kTile; half += kHalf) {
        Fragments<kHalf / 8> scores;
        Fragments<kHalf / 8> d_scores;
        score(scores, rows, key_tile, half);
        score(d_scores, d_rows, value_tile, half);
#pragma unroll
        for (int n = 0; n < kHalf / 8; ++n) {
          const int key = first + half + n * 8 + 2 * (lane_index() % 4);
          const auto d_score = [&](int i, bool is_seen, float log_sum, float mean) {
            const float probability = exp2f(scores[n][i] * kScale2 - log_sum);
            d_scores[n][i] = is_seen ? probability * (d_scores[n][i] - mean) : 0;
          };
          d_score(0, sees_all || warp.low_sees(key), low_log_sum, low_mean);
          d_score(1, sees_all || warp.low_sees(key + 1), low_log_sum, low_mean);
          d_score(2, sees_all || warp.high_sees(key), high_log_sum, high_mean);
          d_score(3, sees_all || warp.high_sees(key + 1), high_log_sum, high_mean);
        }
        add_weighted(sums, d_scores, key_tile, half);
      }
    }
    __syncthreads();
  }
  write_rows(
      sums, kScale, kScale, gradient.d_projected + head * kWidth, stride, warp.low, warp.end);
}

constexpr int kKeyWarps = 4;
constexpr int kKeyThreads = kKeyWarps * kWarpSize;
static_assert(kKeyWarps * kWarpRows == kTile);

// A block 64 keys of a head, and their values: the gradient of both. A key j is seen by the queries
// from j to the end of its segment.
__global__ void __launch_bounds__(kKeyThreads, 3)
    attend_keys_backward_kernel(DeviceAttention attention, DeviceAttentionGradient gradient) {
  __shared__ alignas(128) Bf16 memory[4][kTileElements];  // two tiles of queries, two of gradients
  __shared__ float log_sum_memory[2][kTile];
  __shared__ float mean_memory[2][kTile];
  const std::int64_t width = attention.heads * kWidth;
  const std::int64_t stride = 3 * width;
  const int end = static_cast<int>(attention.positions);
  const int head = static_cast<int>(blockIdx.y);
  const Bf16* queries = attention.projected + head * kWidth;
  const Bf16* keys = queries + width;
  const Bf16* values = keys + width;
  const Bf16* d_output = gradient.d_output + head * kWidth;
  const float* log_sums = attention.log_sums + head * attention.positions;
  const float* means = gradient.means + head * attention.positions;
  const int block_first = static_cast<int>(blockIdx.x) * kTile;
  const int last_query = attention.ends[min(block_first + kTile, end) - 1] - 1;
  const int num_tiles = (last_query - block_first) / kTile + 1;

  Rows key_rows;
  Rows value_rows;
  copy_tile<kTile, kKeyThreads>(shared_address(memory[0]), keys, stride, block_first, end);
  copy_tile<kTile, kKeyThreads>(shared_address(memory[2]), values, stride, block_first, end);
  commit_copies();
  wait_for_copies<0>();
  __syncthreads();
  load_rows(key_rows, shared_address(memory[0]), warp_index() * kWarpRows);
  load_rows(value_rows, shared_address(memory[2]), warp_index() * kWarpRows);
  __syncthreads();

  const auto copy = [&](int tile) {
    const int first = block_first + tile * kTile;
    const int buffer = tile & 1;
    copy_tile<kTile, kKeyThreads>(shared_address(memory[buffer]), queries, stride, first, end);
    copy_tile<kTile, kKeyThreads>(shared_address(memory[2 + buffer]), d_output, width, first, end);
    commit_copies();
    if (threadIdx.x < kTile) {
      const int query = first + static_cast<int>(threadIdx.x);
      log_sum_memory[buffer][threadIdx.x] = query < end ? log_sums[query] : 0;
      mean_memory[buffer][threadIdx.x] = query < end ? means[query] : 0;
    }
  };
  const int warp_first = block_first + warp_index() * kWarpRows;
  const int warp_end = warp_first < end ? attention.ends[min(warp_first + kWarpRows, end) - 1] : 0;
  const int low = warp_first + lane_index() / 4;
  const int low_end = low < end ? attention.ends[low] : 0;
  const int high_end = low + 8 < end ? attention.ends[low + 8] : 0;
  const int first_end = warp_first < end ? attention.ends[warp_first] : 0;

  Fragments<kChunks> d_keys;
  Fragments<kChunks> d_values;
  clear(d_keys);
  clear(d_values);
  copy(0);
  for (int tile = 0; tile < num_tiles; ++tile) {
    if (tile + 1 < num_tiles) {
      copy(tile + 1);
      wait_for_copies<1>();
    } else {
      wait_for_copies<0>();
    }
    __syncthreads();
    const int first = block_first + tile * kTile;
    if (first < warp_end) {
      const int buffer = tile & 1;
      const std::uint32_t query_tile = shared_address(memory[buffer]);
      const std::uint32_t d_tile = shared_address(memory[2 + buffer]);
      const bool sees_all = tile > 0 && first + kTile <= first_end && warp_first + kWarpRows <= end;
#pragma unroll
      for (int half = 0; half < kTile; half += kHalf) {
        Fragments<kHalf / 8> scores;
        Fragments<kHalf / 8> d_scores;
        score(scores, key_rows, query_tile, half);
        score(d_scores, value_rows, d_tile, half);
#pragma unroll
        for (int n = 0; n < kHalf / 8; ++n) {
          const int column = half + n * 8 + 2 * (lane_index() % 4);
          const int query = first + column;
          const auto finish = [&](int i, int of_pair, int key, int key_end) {
            const bool is_seen = sees_all || (query + of_pair >= key && query + of_pair < key_end);
            const float log_sum = log_sum_memory[buffer][column + of_pair];
            const float mean = mean_memory[buffer][column + of_pair];
            const float probability = is_seen ? exp2f(scores[n][i] * kScale2 - log_sum) : 0;
            scores[n][i] = probability;
            d_scores[n][i] = probability * (d_scores[n][i] - mean);
          };
          finish(0, 0, low, low_end);
          finish(1, 1, low, low_end);
          finish(2, 0, low + 8, high_end);
          finish(3, 1, low + 8, high_end);
        }
        add_weighted(d_values, scores, d_tile, half);
        add_weighted(d_keys, d_scores, query_tile, half);
      }
    }
    __syncthreads();
  }
  Bf16* d_projected = gradient.d_projected + head * kWidth;
  write_rows(d_keys, kScale, kScale, d_projected + width, stride, low, end);
  write_rows(d_values, 1, 1, d_projected + 2 * width, stride, low, end);
}

dim3 grid_of(const DeviceAttention& attention, int block) {
  return {static_cast<unsigned>((attention.positions + block - 1) / block),
          static_cast<unsigned>(attention.heads)};
}

}  // namespace

void attend(const DeviceAttention& attention, cudaStream_t stream) {
  attend_kernel<<<grid_of(attention, kQueries), kQueryThreads, 0, stream>>>(attention);
  check(cudaGetLastError(), "attend");
}

void attend_backward(const DeviceAttention& attention,
                     const DeviceAttentionGradient& gradient,
                     cudaStream_t stream) {
  const std::int64_t lanes = attention.positions * attention.heads * kMeanLanes;
  const auto blocks = static_cast<unsigned>((lanes + kMeanThreads - 1) / kMeanThreads);
  sum_products_kernel<<<blocks, kMeanThreads, 0, stream>>>(attention, gradient);
  check(cudaGetLastError(), "attend_backward");
  attend_keys_backward_kernel<<<grid_of(attention, kTile), kKeyThreads, 0, stream>>>(attention,
                                                                                     gradient);
  check(cudaGetLastError(), "attend_backward");
  attend_queries_backward_kernel<<<grid_of(attention, kQueries), kQueryThreads, 0, stream>>>(
      attention, gradient);
  check(cudaGetLastError(), "attend_backward");
}

}  // namespace penstock::gpu
