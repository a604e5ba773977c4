#include <cmath>

#include <cuda_bf16.h>

#include "gpu/cuda/check.h"
#include "gpu/cuda/lm_score_kernels.h"
#include "gpu/philox.h"
#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

constexpr unsigned kFullWarp = 0xffffffffu;
constexpr int kWarpSize = 32;
constexpr int kThreads = 256;  // of a block that has no reason for another number

__device__ float minus_infinity() {
  return -INFINITY;
}

__global__ void fill_with_minus_infinity_kernel(float* values, std::int64_t count) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    values[i] = minus_infinity();
  }
}

// Places

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
__global__ void find_places_kernel(DeviceBatch batch,
                                   std::int64_t vocabulary,
                                   LmPlace* places,
                                   unsigned long long* num_unknown) {
  const std::int64_t length = batch.shape.sequence_length;
  const std::int64_t position = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (position >= batch.shape.batch_size * length) {
    return;
  }
  const std::int64_t row = position / length;
  const std::int64_t column = position % length;
  const std::int64_t row_tokens = batch.row_tokens[row];
  const TokenId* cell = batch.tokens + row * batch.shape.row_length + column;
  const std::int64_t segment = segment_of(batch, position);
  const bool is_last = column + 1 == length;

  LmPlace place;
  place.begin = batch.cu_seqlens[segment];
  place.target = kLmPadding;
  if (column < row_tokens) {
    place.target = kLmNoTarget;
    const bool has_next = column + 1 < row_tokens;  // a token that is no padding
    if (has_next && (is_last || position + 1 < batch.cu_seqlens[segment + 1])) {
      if (cell[1] < vocabulary) {
        place.target = static_cast<std::int32_t>(cell[1]);
      }
    }
    unsigned long long unknown = cell[0] < vocabulary ? 0 : 1;
    if (is_last && has_next && cell[1] >= vocabulary) {
      ++unknown;  // the last target of a row, which is no position
    }
    if (unknown > 0) {
      atomicAdd(num_unknown, unknown);
    }
  }
  places[position] = place;
}

// Context

constexpr int kRun = 16;    // positions of a block
constexpr int kGroup = 4;   // of them, of a thread at a time
constexpr int kVector = 8;  // elements of a thread: 16 bytes
constexpr int kContextThreads = 128;

__device__ void widen(const uint4& packed, float (&values)[kVector]) {
  const unsigned words[4] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = __uint_as_float(words[i] << 16);
    values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
  }
}

__device__ unsigned narrow(float low, float high) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(low)) |
         static_cast<unsigned>(__bfloat16_as_ushort(__float2bfloat16_rn(high))) << 16;
}

__device__ uint4 load_vector(const Bf16* from) {
  return __ldg(reinterpret_cast<const uint4*>(from));
}

// A block a run of positions. Rows of the embedding are read `window` times, but from the caches:
// a thread sums up neighbouring positions of the same 8 columns.
__global__ void __launch_bounds__(kContextThreads) add_context_kernel(DeviceBatch batch,
                                                                      LmDeviceWeights weights,
                                                                      LmPositions positions,
                                                                      LmStretch stretch) {
  __shared__ TokenId tokens[kMaxWindow - 1 + kRun];  // of the run, and of the window before it
  __shared__ int num_terms[kRun];                    // of the sum of each position
  const std::int64_t run_first = stretch.first + std::int64_t{blockIdx.x} * kRun;
  const std::int64_t left = stretch.first + stretch.count - run_first;
  const int run_count = left < kRun ? static_cast<int>(left) : kRun;
  const int history = static_cast<int>(weights.window) - 1;
  const int thread = static_cast<int>(threadIdx.x);

  for (int i = thread; i < history + run_count; i += kContextThreads) {
    const std::int64_t position = run_first - history + i;
    TokenId token = 0;
    if (position >= 0) {
      const std::int64_t row = position / batch.shape.sequence_length;
      const std::int64_t column = position % batch.shape.sequence_length;
      token = batch.tokens[row * batch.shape.row_length + column];
    }
    tokens[i] = token < weights.vocabulary ? token : 0;
  }
  if (thread < kRun) {
    int terms = 0;
    if (thread < run_count) {
      const LmPlace place = positions.places[run_first + thread];
      const std::int64_t there_are = run_first + thread - place.begin + 1;
      if (place.target != kLmPadding) {
        terms = static_cast<int>(there_are < weights.window ? there_are : weights.window);
      }
    }
    num_terms[thread] = terms;
  }
  __syncthreads();

  const int vectors = static_cast<int>(weights.width / kVector);
  const int groups = (run_count + kGroup - 1) / kGroup;
  for (int i = thread; i < groups * vectors; i += kContextThreads) {
    const int first = i / vectors * kGroup;
    const std::int64_t column = std::int64_t{i % vectors} * kVector;
    float sums[kGroup][kVector] = {};
    int most_terms = 0;
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
      most_terms = max(most_terms, num_terms[first + j]);
    }
    for (int k = 0; k < most_terms; ++k) {
      float mix[kVector];
      widen(load_vector(weights.mix + k * weights.width + column), mix);
#pragma unroll
      for (int j = 0; j < kGroup; ++j) {
        if (k < num_terms[first + j]) {
          float embedding[kVector];
          const std::int64_t token = tokens[history + first + j - k];
          widen(load_vector(weights.embedding + token * weights.width + column), embedding);
#pragma unroll
          for (int e = 0; e < kVector; ++e) {
            sums[j][e] = fmaf(mix[e], embedding[e], sums[j][e]);
          }
        }
      }
    }
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
      if (first + j < run_count) {
        const uint4 packed = make_uint4(narrow(sums[j][0], sums[j][1]),
                                        narrow(sums[j][2], sums[j][3]),
                                        narrow(sums[j][4], sums[j][5]),
                                        narrow(sums[j][6], sums[j][7]));
        *reinterpret_cast<uint4*>(positions.context + (run_first + first + j) * weights.width +
                                  column) = packed;
      }
    }
  }
}

// Scores

constexpr int kRowThreads = 512;  // of a block that reads a row of logits
constexpr int kRowWarps = kRowThreads / kWarpSize;
constexpr int kInFlight = 4;  // vectors that a thread asks for before it uses the first

// Calls visit(vector, its index) for the part of the row that is this thread's, in rising order.
template <typename Visit>
__device__ void for_each_vector(const float4* row, int vectors, Visit visit) {
  for (int first = static_cast<int>(threadIdx.x); first < vectors;
       first += kInFlight * kRowThreads) {
    float4 values[kInFlight];
#pragma unroll
    for (int j = 0; j < kInFlight; ++j) {
      const int i = first + j * kRowThreads;
      if (i < vectors) {
        values[j] = row[i];
      }
    }
#pragma unroll
    for (int j = 0; j < kInFlight; ++j) {
      const int i = first + j * kRowThreads;
      if (i < vectors) {
        visit(values[j], i);
      }
    }
  }
}

// Of some of the logits of a row: the highest one, the lowest id that has it, and the sum of
// exp(logit - highest). The default is that of none.
struct Peak {
  float logit;
  float sum;
  std::int32_t id;
};

__device__ Peak no_peak() {
  return {minus_infinity(), 0, 0};
}

// What a sum of exp(logit - from) is to be multiplied by to be one of exp(logit - to).
__device__ float rescale(float from, float to) {
  return from == to ? 1.0f : expf(from - to);
}

__device__ Peak merge(const Peak& a, const Peak& b) {
  Peak both;
  both.logit = fmaxf(a.logit, b.logit);
  both.sum = a.sum * rescale(a.logit, both.logit) + b.sum * rescale(b.logit, both.logit);
  both.id = b.logit > a.logit || (b.logit == a.logit && b.id < a.id) ? b.id : a.id;
  return both;
}

// Adds the logits of the ids from 4 * index, all above those before.
__device__ void include(Peak& peak, const float4& logits, int index) {
  const float highest = fmaxf(fmaxf(logits.x, logits.y), fmaxf(logits.z, logits.w));
  if (highest > peak.logit) {
    peak.sum *= rescale(peak.logit, highest);
    peak.logit = highest;
    peak.id = 4 * index + (logits.x == highest   ? 0
                           : logits.y == highest ? 1
                           : logits.z == highest ? 2
                                                 : 3);
  }
  const float sum = logits.x + logits.y + logits.z + logits.w;
  if (peak.logit == minus_infinity() && sum == minus_infinity()) {
    return;  // nothing but what stands past the vocabulary
  }
  peak.sum += expf(logits.x - peak.logit) + expf(logits.y - peak.logit) +
              expf(logits.z - peak.logit) + expf(logits.w - peak.logit);
}

// In thread 0 of a warp.
__device__ Peak warp_peak(Peak peak) {
#pragma unroll
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    const Peak other = {__shfl_down_sync(kFullWarp, peak.logit, offset),
                        __shfl_down_sync(kFullWarp, peak.sum, offset),
                        __shfl_down_sync(kFullWarp, peak.id, offset)};
    peak = merge(peak, other);
  }
  return peak;
}

// A block a position.
__global__ void __launch_bounds__(kRowThreads) score_logits_kernel(
    LmLogits logits, LmPositions positions, LmStretch stretch, unsigned long long* num_not_finite) {
  const std::int64_t position = stretch.first + blockIdx.x;
  const std::int32_t target = positions.places[position].target;
  if (target == kLmPadding) {
    if (threadIdx.x == 0) {
      positions.losses[position] = 0;
      positions.highest_logits[position] = 0;
      positions.highest_ids[position] = 0;
      positions.samples[position] = 0;
    }
    return;
  }
  const float* row = logits.logits + std::int64_t{blockIdx.x} * logits.stride;
  Peak peak = no_peak();
  for_each_vector(reinterpret_cast<const float4*>(row),
                  static_cast<int>(logits.stride / 4),
                  [&](const float4& values, int index) { include(peak, values, index); });
  __shared__ Peak peaks[kRowWarps];
  peak = warp_peak(peak);
  const unsigned lane = threadIdx.x % kWarpSize;
  if (lane == 0) {
    peaks[threadIdx.x / kWarpSize] = peak;
  }
  __syncthreads();
  if (threadIdx.x >= kWarpSize) {
    return;
  }
  peak = warp_peak(lane < kRowWarps ? peaks[lane] : no_peak());
  if (lane == 0) {
    const float log_sum = peak.logit + logf(peak.sum);
    if (!isfinite(log_sum)) {
      atomicAdd(num_not_finite, 1ULL);
    }
    positions.losses[position] = target >= 0 ? log_sum - row[target] : 0;
    positions.highest_logits[position] = peak.logit;
    positions.highest_ids[position] = static_cast<TokenId>(peak.id);
    positions.samples[position] = static_cast<TokenId>(peak.id);
  }
}

// Sampling

constexpr int kBins = 2048;
constexpr int kBinsOfThread = kBins / kRowThreads;
constexpr int kDigits = 3;  // of a key: its bits [21, 32), [10, 21) and [0, 10)

// What the threads of a block share when they sample.
struct SamplingMemory {
  // Weights of the bins, halves of 64 bits: the lower ones can be added to by one instruction.
  std::uint32_t low[kBins];
  std::uint32_t high[kBins];
  std::uint64_t warp_sums[kRowWarps];
  std::uint64_t still_needed;
  std::uint32_t bin;
};

__device__ void add_weight(SamplingMemory& memory, std::uint32_t bin, std::uint64_t weight) {
  const auto low = static_cast<std::uint32_t>(weight);
  auto high = static_cast<std::uint32_t>(weight >> 32);
  if (low > 0) {
    const std::uint32_t before = atomicAdd(&memory.low[bin], low);
    high += before + low < before ? 1 : 0;
  }
  if (high > 0) {
    atomicAdd(&memory.high[bin], high);
  }
}

// A number that is greater for a greater logit, and equal for equal ones (0 and -0).
__device__ std::uint32_t key_of(float logit) {
  const std::uint32_t bits = __float_as_uint(logit + 0.0f);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

struct Scan {
  std::uint64_t before;  // sum of the values of the threads before this one
  std::uint64_t total;
};

__device__ std::uint64_t inclusive_warp_scan(std::uint64_t value) {
#pragma unroll
  for (int offset = 1; offset < kWarpSize; offset *= 2) {
    const std::uint64_t other = __shfl_up_sync(kFullWarp, value, offset);
    if (threadIdx.x % kWarpSize >= offset) {
      value += other;
    }
  }
  return value;
}

__device__ Scan block_scan(std::uint64_t value, SamplingMemory& memory) {
  const unsigned warp = threadIdx.x / kWarpSize;
  const std::uint64_t inclusive = inclusive_warp_scan(value);
  if (threadIdx.x % kWarpSize == kWarpSize - 1) {
    memory.warp_sums[warp] = inclusive;
  }
  __syncthreads();
  Scan scan = {inclusive - value, 0};
  for (unsigned i = 0; i < kRowWarps; ++i) {
    scan.before += i < warp ? memory.warp_sums[i] : 0;
    scan.total += memory.warp_sums[i];
  }
  __syncthreads();  // warp_sums may be written again
  return scan;
}

// The greatest key for which the weights of all logits with at least this key sum to
// need_of(weight of all logits), found digit by digit. weigh(key, logit) is a logit's weight. For
// all threads of the block together.
template <typename Weigh, typename NeedOf>
__device__ std::uint32_t lowest_kept_key(
    const float4* row, int vectors, Weigh weigh, NeedOf need_of, SamplingMemory& memory) {
  std::uint32_t known = 0;  // the digits that were found, at their place
  std::uint64_t need = 0;
  for (int digit = 0; digit < kDigits; ++digit) {
    const int shift = digit == 0 ? 21 : digit == 1 ? 10 : 0;
    const int end = digit == 0 ? 32 : digit == 1 ? 21 : 10;  // past the digit's highest bit
    const std::uint32_t mask = (1u << (end - shift)) - 1;
    for (unsigned i = threadIdx.x; i < kBins; i += kRowThreads) {
      memory.low[i] = 0;
      memory.high[i] = 0;
    }
    if (threadIdx.x == 0) {
      memory.bin = 0;
      memory.still_needed = 0;
    }
    __syncthreads();
    const auto add = [&](float logit) {
      const std::uint32_t key = key_of(logit);
      if (digit == 0 || (key ^ known) >> end == 0) {
        add_weight(memory, (key >> shift) & mask, weigh(key, logit));
      }
    };
    for_each_vector(row, vectors, [&](const float4& logits, int) {
      add(logits.x);
      add(logits.y);
      add(logits.z);
      add(logits.w);
    });
    __syncthreads();
    // The first thread has the highest bins.
    const std::uint32_t highest_bin = kBins - 1 - threadIdx.x * kBinsOfThread;
    std::uint64_t weights[kBinsOfThread];
    std::uint64_t own = 0;
#pragma unroll
    for (int i = 0; i < kBinsOfThread; ++i) {
      const std::uint32_t bin = highest_bin - i;
      weights[i] = std::uint64_t{memory.high[bin]} << 32 | memory.low[bin];
      own += weights[i];
    }
    const Scan scan = block_scan(own, memory);
    if (digit == 0) {
      need = need_of(scan.total);
    }
    std::uint64_t sum = scan.before;
#pragma unroll
    for (int i = 0; i < kBinsOfThread; ++i) {
      if (sum < need && need <= sum + weights[i]) {
        memory.bin = highest_bin - i;
        memory.still_needed = need - sum;
      }
      sum += weights[i];
    }
    __syncthreads();
    known |= memory.bin << shift;
    need = memory.still_needed;
    __syncthreads();  // both may be written again
  }
  return known;
}

__device__ std::uint64_t warp_sum(std::uint64_t value) {
#pragma unroll
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kFullWarp, value, offset);
  }
  return value;
}

// A block a position. Every warp sums up the masses of its part of the row; the one in whose part
// the random number falls looks through it again.
__global__ void __launch_bounds__(kRowThreads) sample_logits_kernel(LmLogits logits,
                                                                    LmPositions positions,
                                                                    LmSampling sampling,
                                                                    std::int64_t first_position,
                                                                    LmStretch stretch) {
  __shared__ SamplingMemory memory;
  const std::int64_t position = stretch.first + blockIdx.x;
  if (positions.places[position].target == kLmPadding) {
    return;
  }
  const auto* row =
      reinterpret_cast<const float4*>(logits.logits + std::int64_t{blockIdx.x} * logits.stride);
  const int vectors = static_cast<int>(logits.stride / 4);
  const float highest = positions.highest_logits[position];
  const auto mass_of = [&](float logit) {
    const float mass = expf((logit - highest) * sampling.inverse_temperature) * 4294967296.0f;
    return static_cast<std::uint64_t>(mass);
  };

  std::uint32_t lowest_kept = 0;
  if (sampling.top_k > 0) {
    lowest_kept = lowest_kept_key(
        row,
        vectors,
        [](std::uint32_t, float) { return std::uint64_t{1}; },
        [&](std::uint64_t) { return static_cast<std::uint64_t>(sampling.top_k); },
        memory);
  }
  if (sampling.top_p < 1) {
    const std::uint32_t lowest_of_top_k = lowest_kept;
    lowest_kept = lowest_kept_key(
        row,
        vectors,
        [&](std::uint32_t key, float logit) {
          return key >= lowest_of_top_k ? mass_of(logit) : std::uint64_t{0};
        },
        [&](std::uint64_t mass) {
          return static_cast<std::uint64_t>(ceil(sampling.top_p * static_cast<double>(mass)));
        },
        memory);
  }
  const auto kept_mass_of = [&](float logit) {
    return key_of(logit) >= lowest_kept ? mass_of(logit) : std::uint64_t{0};
  };

  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int part = (vectors + kRowWarps - 1) / kRowWarps;
  const int begin = min(warp * part, vectors);
  const int end = min(begin + part, vectors);
  std::uint64_t own = 0;
#pragma unroll 4
  for (int i = begin + lane; i < end; i += kWarpSize) {
    const float4 values = row[i];
    own += kept_mass_of(values.x) + kept_mass_of(values.y) + kept_mass_of(values.z) +
           kept_mass_of(values.w);
  }
  own = warp_sum(own);
  if (lane == 0) {
    memory.warp_sums[warp] = own;
  }
  __syncthreads();
  std::uint64_t before = 0;
  std::uint64_t total = 0;
  for (int i = 0; i < kRowWarps; ++i) {
    before += i < warp ? memory.warp_sums[i] : 0;
    total += memory.warp_sums[i];
  }
  const std::int64_t offset = sampling.offset != nullptr ? *sampling.offset : 0;
  const auto place = static_cast<std::uint64_t>(first_position + position + offset);
  const std::uint64_t drawn = uniform_below(philox(sampling.seed, place, kLmSampleStream), total);
  if (drawn < before || drawn - before >= own) {
    return;  // the whole warp
  }
  std::uint64_t rest = drawn - before;
  for (int first = begin; first < end; first += kWarpSize) {
    const int i = first + lane;
    std::uint64_t masses[4] = {};
    if (i < end) {
      const float4 values = row[i];
      masses[0] = kept_mass_of(values.x);
      masses[1] = kept_mass_of(values.y);
      masses[2] = kept_mass_of(values.z);
      masses[3] = kept_mass_of(values.w);
    }
    const std::uint64_t sum = masses[0] + masses[1] + masses[2] + masses[3];
    const std::uint64_t inclusive = inclusive_warp_scan(sum);
    const unsigned above = __ballot_sync(kFullWarp, inclusive > rest);
    if (above != 0) {
      if (lane == __ffs(static_cast<int>(above)) - 1) {
        std::uint64_t here = rest - (inclusive - sum);
        TokenId id = static_cast<TokenId>(4 * i);
#pragma unroll
        for (int j = 0; j < 3; ++j) {
          // Stops at the first whose mass is more than what is left.
          if (id == static_cast<TokenId>(4 * i + j) && here >= masses[j]) {
            here -= masses[j];
            ++id;
          }
        }
        positions.samples[position] = id;
      }
      return;
    }
    rest -= __shfl_sync(kFullWarp, inclusive, kWarpSize - 1);
  }
}

// Sums

constexpr int kSumThreads = 128;
constexpr int kSumWarps = kSumThreads / kWarpSize;

// Of the values of a block of kSumThreads, added in the same order every time; in all threads.
template <typename T>
__device__ T block_sum(T value) {
  __shared__ T warp_sums[kSumWarps];
#pragma unroll
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value += __shfl_down_sync(kFullWarp, value, offset);
  }
  if (threadIdx.x % kWarpSize == 0) {
    warp_sums[threadIdx.x / kWarpSize] = value;
  }
  __syncthreads();
  T sum = 0;
  for (int i = 0; i < kSumWarps; ++i) {
    sum += warp_sums[i];
  }
  __syncthreads();  // warp_sums may be written again
  return sum;
}

__device__ LmScoreTotals block_sum(const LmScoreTotals& own) {
  LmScoreTotals sum;
  sum.loss_sum = block_sum(own.loss_sum);
  sum.num_scored = block_sum(own.num_scored);
  sum.num_correct = block_sum(own.num_correct);
  sum.num_sampled = block_sum(own.num_sampled);
  sum.num_sampled_correct = block_sum(own.num_sampled_correct);
  sum.sample_checksum = block_sum(own.sample_checksum);
  return sum;
}

// A block a segment.
__global__ void __launch_bounds__(kSumThreads) sum_segments_kernel(const std::int32_t* cu_seqlens,
                                                                   LmPositions positions,
                                                                   std::int64_t first_position,
                                                                   LmScoreTotals* sums,
                                                                   LmSegmentScore* scores) {
  const std::int64_t end = cu_seqlens[blockIdx.x + 1];
  LmScoreTotals own;
  for (std::int64_t i = cu_seqlens[blockIdx.x] + std::int64_t{threadIdx.x}; i < end;
       i += kSumThreads) {
    const std::int32_t target = positions.places[i].target;
    if (target == kLmPadding) {
      continue;
    }
    const TokenId sample = positions.samples[i];
    ++own.num_sampled;
    own.sample_checksum +=
        stream_checksum_term(sample, static_cast<std::uint64_t>(first_position + i));
    if (target >= 0) {
      own.loss_sum += static_cast<double>(positions.losses[i]);
      ++own.num_scored;
      own.num_correct += positions.highest_ids[i] == static_cast<TokenId>(target) ? 1 : 0;
      own.num_sampled_correct += sample == static_cast<TokenId>(target) ? 1 : 0;
    }
  }
  const LmScoreTotals sum = block_sum(own);
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = sum;
    scores[blockIdx.x].loss_sum = static_cast<float>(sum.loss_sum);
    scores[blockIdx.x].num_scored = static_cast<std::int32_t>(sum.num_scored);
  }
}

// One block.
__global__ void __launch_bounds__(kSumThreads)
    add_to_totals_kernel(const LmScoreTotals* sums, std::int64_t num_segments, LmFound* found) {
  LmScoreTotals own;
  for (std::int64_t i = threadIdx.x; i < num_segments; i += kSumThreads) {
    own.add(sums[i]);
  }
  LmScoreTotals batch = block_sum(own);
  batch.num_batches = 1;
  if (threadIdx.x == 0) {
    found->totals.add(batch);
    found->last_batch = batch;
  }
}

unsigned blocks_for(std::int64_t count, std::int64_t of_a_block) {
  return static_cast<unsigned>((count + of_a_block - 1) / of_a_block);
}

}  // namespace

void fill_with_minus_infinity(float* values, std::int64_t count, cudaStream_t stream) {
  constexpr unsigned kBlocks = 1024;
  fill_with_minus_infinity_kernel<<<kBlocks, kThreads, 0, stream>>>(values, count);
  check(cudaGetLastError(), "fill_with_minus_infinity");
}

void find_places(const DeviceBatch& batch,
                 std::int64_t vocabulary,
                 LmPlace* places,
                 LmFound* found,
                 cudaStream_t stream) {
  auto* num_unknown = reinterpret_cast<unsigned long long*>(&found->num_unknown);
  find_places_kernel<<<blocks_for(batch.shape.positions(), kThreads), kThreads, 0, stream>>>(
      batch, vocabulary, places, num_unknown);
  check(cudaGetLastError(), "find_places");
}

void add_context(const DeviceBatch& batch,
                 const LmDeviceWeights& weights,
                 const LmPositions& positions,
                 LmStretch stretch,
                 cudaStream_t stream) {
  add_context_kernel<<<blocks_for(stretch.count, kRun), kContextThreads, 0, stream>>>(
      batch, weights, positions, stretch);
  check(cudaGetLastError(), "add_context");
}

void score_logits(const LmLogits& logits,
                  const LmPositions& positions,
                  LmStretch stretch,
                  LmFound* found,
                  cudaStream_t stream) {
  auto* num_not_finite = reinterpret_cast<unsigned long long*>(&found->num_not_finite);
  score_logits_kernel<<<blocks_for(stretch.count, 1), kRowThreads, 0, stream>>>(
      logits, positions, stretch, num_not_finite);
  check(cudaGetLastError(), "score_logits");
}

void sample_logits(const LmLogits& logits,
                   const LmPositions& positions,
                   const LmSampling& sampling,
                   std::int64_t first_position,
                   LmStretch stretch,
                   cudaStream_t stream) {
  sample_logits_kernel<<<blocks_for(stretch.count, 1), kRowThreads, 0, stream>>>(
      logits, positions, sampling, first_position, stretch);
  check(cudaGetLastError(), "sample_logits");
}

void sum_segments(const DeviceBatch& batch,
                  const LmPositions& positions,
                  LmScoreTotals* sums,
                  LmSegmentScore* scores,
                  cudaStream_t stream) {
  sum_segments_kernel<<<blocks_for(batch.num_segments, 1), kSumThreads, 0, stream>>>(
      batch.cu_seqlens, positions, batch.first_position(), sums, scores);
  check(cudaGetLastError(), "sum_segments");
}

void add_to_totals(const LmScoreTotals* sums,
                   std::int64_t num_segments,
                   LmFound* found,
                   cudaStream_t stream) {
  add_to_totals_kernel<<<1, kSumThreads, 0, stream>>>(sums, num_segments, found);
  check(cudaGetLastError(), "add_to_totals");
}

}  // namespace penstock::gpu
