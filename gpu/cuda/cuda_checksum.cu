#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

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
  explicit CudaChecksum(const std::string& resume_folder)
      : Checksum(resume_folder),
        sum_(1, "the checksum", "slots"),
        result_(sum_.bytes(), 1, "the checksum"),
        saved_sum_(sum_.bytes(), 1, "the checksum"),
        arrived_(before()) {
    const Stream stream;
    check(cudaMemcpyAsync(
              sum_.get(), &arrived_.checksum, sum_.bytes(), cudaMemcpyHostToDevice, stream.get()),
          "cudaMemcpyAsync");
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

  void enqueue_save(DeviceStream stream) override {
    saved_sum_.enqueue(reinterpret_cast<const std::byte*>(sum_.get()),
                       sum_.bytes(),
                       static_cast<cudaStream_t>(stream.handle));
    saved_ = arrived_;
  }

  std::optional<CheckpointPart> next_save() override {
    const std::optional<std::vector<std::byte>> sum = saved_sum_.next();
    if (!sum) {
      return std::nullopt;
    }
    std::memcpy(&saved_.checksum, sum->data(), sizeof saved_.checksum);
    return save(saved_);
  }

 private:
  Arrived arrived() override {
    if (stream_ != nullptr) {
      result_.enqueue(reinterpret_cast<const std::byte*>(sum_.get()), sum_.bytes(), stream_);
      result_.wait();
      std::memcpy(&arrived_.checksum, result_.next().value().data(), sizeof arrived_.checksum);
    }
    return arrived_;
  }

  DeviceArray<unsigned long long> sum_;
  Readback result_;
  Readback saved_sum_;
  cudaStream_t stream_ = nullptr;  // of the device, which outlives the stage
  Arrived arrived_;                // but for the checksum, which is on the device
  Arrived saved_;                  // likewise
};

}  // namespace

std::unique_ptr<DeviceStage> make_cuda_checksum(const std::string& resume_folder) {
  return std::make_unique<CudaChecksum>(resume_folder);
}

}  // namespace penstock::gpu
