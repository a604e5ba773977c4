#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gpu/checksum.h"
#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_checksum.h"
#include "gpu/cuda/handles.h"
#include "gpu/cuda/readback.h"
#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxBlocks = 1024;

// Adds stream_checksum(tokens, first_position) to *sum. A warp adds once.
__global__ void add_checksum(const TokenId* tokens,
                             std::uint64_t cells,
                             std::uint64_t first_position,
                             unsigned long long* sum) {
  unsigned long long own = 0;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < cells;
       i += stride) {
    own += stream_checksum_term(tokens[i], first_position + i);
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
  CudaChecksum() : sum_(1, "the checksum", "slots"), result_(sum_.bytes(), 1, "the checksum") {
    const Stream stream;
    check(cudaMemsetAsync(sum_.get(), 0, sum_.bytes(), stream.get()), "cudaMemsetAsync");
    stream.synchronize();
  }

  void enqueue(const DeviceBatch& batch, DeviceStream stream) override {
    stream_ = static_cast<cudaStream_t>(stream.handle);
    const auto cells = static_cast<std::uint64_t>(batch.shape.cells());
    const std::uint64_t blocks = (cells + kThreads - 1) / kThreads;
    add_checksum<<<static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks),
                   kThreads,
                   0,
                   stream_>>>(batch.tokens, cells, arrived_.cells, sum_.get());
    check(cudaGetLastError(), "add_checksum");
    arrived_.cells += cells;
    arrived_.tokens += batch.num_tokens;
    ++arrived_.batches;
  }

 private:
  Arrived arrived() override {
    if (arrived_.batches > 0) {
      result_.enqueue(reinterpret_cast<const std::byte*>(sum_.get()), sum_.bytes(), stream_);
      result_.wait();
      std::memcpy(&arrived_.checksum, result_.next().value().data(), sizeof arrived_.checksum);
    }
    return arrived_;
  }

  DeviceArray<unsigned long long> sum_;
  Readback result_;
  cudaStream_t stream_ = nullptr;  // of the device, which outlives the stage
  Arrived arrived_;
};

}  // namespace

std::unique_ptr<DeviceStage> make_cuda_checksum() {
  return std::make_unique<CudaChecksum>();
}

}  // namespace penstock::gpu
