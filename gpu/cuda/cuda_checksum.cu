#include <cstddef>
#include <cstdint>

#include "gpu/checksum.h"
#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_checksum.h"
#include "gpu/cuda/handles.h"

namespace penstock::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxBlocks = 1024;

__device__ std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

// Adds stream_checksum(tokens, first_position) to *sum. A warp adds once.
__global__ void add_checksum(const TokenId* tokens,
                             std::uint64_t cells,
                             std::uint64_t first_position,
                             unsigned long long* sum) {
  constexpr std::uint64_t kGoldenGamma = 0x9e3779b97f4a7c15ULL;
  unsigned long long own = 0;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < cells;
       i += stride) {
    const std::uint64_t place = (first_position + i + 1) * kGoldenGamma;
    own += mix(place ^ (std::uint64_t{tokens[i]} << 32 | tokens[i]));
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    own += __shfl_down_sync(0xffffffffu, own, offset);
  }
  if (threadIdx.x % 32 == 0) {
    atomicAdd(sum, own);
  }
}

class CudaChecksum final : public Checksum {
 public:
  CudaChecksum() : sum_(sizeof(unsigned long long)), result_(sizeof(unsigned long long)) {}

  void enqueue(const DeviceBatch& batch, DeviceStream stream) override {
    stream_ = static_cast<cudaStream_t>(stream.handle);
    auto* sum = reinterpret_cast<unsigned long long*>(sum_.data());
    if (arrived_.batches == 0) {
      check(cudaMemsetAsync(sum, 0, sizeof *sum, stream_), "cudaMemsetAsync");
    }
    const auto cells = static_cast<std::uint64_t>(batch.shape.cells());
    const std::uint64_t blocks = (cells + kThreads - 1) / kThreads;
    add_checksum<<<static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks),
                   kThreads,
                   0,
                   stream_>>>(batch.tokens, cells, arrived_.cells, sum);
    check(cudaGetLastError(), "add_checksum");
    arrived_.cells += cells;
    arrived_.tokens += batch.num_tokens;
    ++arrived_.batches;
  }

 private:
  Arrived arrived() override {
    if (arrived_.batches > 0) {
      check(cudaMemcpyAsync(result_.data(),
                            sum_.data(),
                            sizeof(unsigned long long),
                            cudaMemcpyDeviceToHost,
                            stream_),
            "cudaMemcpyAsync");
      check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
      arrived_.checksum = *reinterpret_cast<const unsigned long long*>(result_.data());
    }
    return arrived_;
  }

  DeviceBuffer sum_;
  PinnedBuffer result_;
  cudaStream_t stream_ = nullptr;  // of the device, which outlives the stage
  Arrived arrived_;
};

}  // namespace

std::unique_ptr<DeviceStage> make_cuda_checksum() {
  return std::make_unique<CudaChecksum>();
}

}  // namespace penstock::gpu
