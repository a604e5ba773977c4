#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

#include "bigram_counts.h"

namespace {

using penstock::TokenId;
using Counter = unsigned long long;

static_assert(sizeof(Counter) == sizeof(std::uint64_t));

constexpr unsigned kBlocks = 1024;
constexpr unsigned kThreads = 256;

void check(cudaError_t error, const std::string& call) {
  if (error != cudaSuccess) {
    throw std::runtime_error(call + " failed: " + cudaGetErrorName(error) + " (" +
                             cudaGetErrorString(error) + ")");
  }
}

// The counters of all tokens, of all pairs, and of ids that are outside, in this order.
struct Table {
  Counter* counters;
  std::int64_t vocabulary;
};

// A block counts a document's stretch of a row at a time; a thread every kThreads-th of its tokens.
__global__ void count_bigrams(const TokenId* batch_tokens,
                              const std::int32_t* cu_seqlens,
                              std::int64_t num_segments,
                              const std::int32_t* row_tokens,
                              std::int64_t sequence_length,
                              std::int64_t row_length,
                              Table table) {
  Counter* const bigrams = table.counters + table.vocabulary;
  Counter* const outside = bigrams + table.vocabulary * table.vocabulary;
  for (std::int64_t segment = blockIdx.x; segment < num_segments; segment += gridDim.x) {
    const std::int64_t begin = cu_seqlens[segment];
    const std::int64_t row = begin / sequence_length;
    const std::int64_t column = begin % sequence_length;
    const std::int64_t with_padding = cu_seqlens[segment + 1] - begin;
    const std::int64_t in_row = row_tokens[row] - column;
    const std::int64_t size = in_row < with_padding ? in_row : with_padding;
    const TokenId* const tokens = batch_tokens + row * row_length + column;
    for (std::int64_t i = threadIdx.x; i < size; i += blockDim.x) {
      const std::int64_t first = tokens[i];
      if (first >= table.vocabulary) {
        atomicAdd(outside, Counter{1});
        continue;
      }
      atomicAdd(table.counters + first, Counter{1});
      if (i + 1 < size && tokens[i + 1] < table.vocabulary) {
        atomicAdd(bigrams + first * table.vocabulary + tokens[i + 1], Counter{1});
      }
    }
  }
}

// Made, used and destroyed by the device thread, with its device current.
class CudaBigramCounts final : public BigramCounts {
 public:
  explicit CudaBigramCounts(const BigramSettings& settings)
      : BigramCounts(settings.top), vocabulary_(settings.vocabulary) {
    const std::size_t bytes = num_counters() * sizeof(Counter);
    Counter* counters = nullptr;
    check(cudaMalloc(&counters, bytes), "cudaMalloc of " + std::to_string(bytes) + " bytes");
    counters_.reset(counters);
    // The default stream: no other work is under way yet.
    check(cudaMemset(counters, 0, bytes), "cudaMemset");
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }

  void enqueue(const penstock::gpu::DeviceBatch& batch,
               penstock::gpu::DeviceStream stream) override {
    stream_ = static_cast<cudaStream_t>(stream.handle);
    count_bigrams<<<kBlocks, kThreads, 0, stream_>>>(batch.tokens,
                                                     batch.cu_seqlens,
                                                     batch.num_segments,
                                                     batch.row_tokens,
                                                     batch.shape.sequence_length,
                                                     batch.shape.row_length,
                                                     {counters_.get(), vocabulary_});
    check(cudaGetLastError(), "count_bigrams");
  }

 private:
  struct Free {
    void operator()(Counter* counters) const noexcept { cudaFree(counters); }
  };

  std::size_t num_counters() const {
    return static_cast<std::size_t>(vocabulary_ + vocabulary_ * vocabulary_ + 1);
  }

  Counts take_counts() override {
    Counts counts;
    counts.tokens.resize(static_cast<std::size_t>(vocabulary_));
    counts.bigrams.resize(counts.tokens.size() * counts.tokens.size());
    const Counter* from = counters_.get();
    const auto copy = [&](std::uint64_t* to, std::size_t size) {
      check(cudaMemcpyAsync(to, from, size * sizeof(Counter), cudaMemcpyDeviceToHost, stream_),
            "cudaMemcpyAsync");
      from += size;
    };
    copy(counts.tokens.data(), counts.tokens.size());
    copy(counts.bigrams.data(), counts.bigrams.size());
    copy(&counts.outside, 1);
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    return counts;
  }

  const std::int64_t vocabulary_;
  std::unique_ptr<Counter, Free> counters_;  // in device memory
  cudaStream_t stream_ = nullptr;            // of the device, from the first batch on
};

}  // namespace

penstock::gpu::DeviceStageFactory bigram_counts_on_cuda() {
  return [](const penstock::StageConfig& config, const penstock::gpu::DeviceStageContext& context) {
    return std::make_unique<CudaBigramCounts>(BigramSettings(config, context));
  };
}
