#include <cstring>
#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

#include "gpu/cuda/check.h"
#include "gpu/cuda/handles.h"
#include "gpu/device.h"
#include "gpu/row_tokens.h"

namespace penstock::gpu {
namespace {

// Tokens, tokens of each row and document boundaries lie one behind the other, so that one copy
// takes them all; the boundaries come last, since their number differs.
class CudaSlot final : public StagingSlot {
 public:
  // The streams outlive the slot.
  CudaSlot(const BatchShape& shape, const Stream& copy, const Stream& compute)
      : copy_(copy),
        compute_(compute),
        batch_size_(static_cast<std::size_t>(shape.batch_size)),
        token_bytes_(static_cast<std::size_t>(shape.cells()) * sizeof(TokenId)),
        boundaries_at_(token_bytes_ + batch_size_ * sizeof(std::int32_t)),
        pinned_(bytes_of(shape), "a staging slot"),
        device_(bytes_of(shape), "a staging slot", "slots, batch_size or sequence_length") {}

  void wait_until_writable() override {
    if (!copied_.done()) {
      copied_.synchronize();
    }
  }

  DeviceBatch upload(const Batch& batch) override {
    const std::size_t boundary_bytes = batch.cu_seqlens.size() * sizeof(std::int32_t);
    std::memcpy(pinned_.data(), batch.tokens.data(), token_bytes_);
    count_row_tokens(batch,
                     {reinterpret_cast<std::int32_t*>(pinned_.data() + token_bytes_), batch_size_});
    std::memcpy(pinned_.data() + boundaries_at_, batch.cu_seqlens.data(), boundary_bytes);
    copy_.wait(read_.get());
    check(cudaMemcpyAsync(device_.data(),
                          pinned_.data(),
                          boundaries_at_ + boundary_bytes,
                          cudaMemcpyHostToDevice,
                          copy_.get()),
          "cudaMemcpyAsync");
    copied_.record(copy_.get());
    compute_.wait(copied_.get());
    return {batch.index,
            {batch.batch_size, batch.sequence_length, batch.row_length},
            batch.num_tokens,
            reinterpret_cast<const TokenId*>(device_.data()),
            reinterpret_cast<const std::int32_t*>(device_.data() + boundaries_at_),
            std::ssize(batch.cu_seqlens) - 1,
            reinterpret_cast<const std::int32_t*>(device_.data() + token_bytes_)};
  }

  void release() override { read_.record(compute_.get()); }

 private:
  static std::size_t bytes_of(const BatchShape& shape) {
    return static_cast<std::size_t>(shape.cells()) * sizeof(TokenId) +
           static_cast<std::size_t>(shape.batch_size + shape.positions() + 1) *
               sizeof(std::int32_t);
  }

  const Stream& copy_;
  const Stream& compute_;
  const std::size_t batch_size_;
  const std::size_t token_bytes_;
  const std::size_t boundaries_at_;  // in bytes
  PinnedBuffer pinned_;
  DeviceBuffer device_;
  Event copied_;  // the copy out of the pinned memory is done
  Event read_;    // the kernels that read the device memory are done
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int number) : number_(select(number)) {}

  Backend backend() const override { return Backend::kCuda; }

  std::string describe() const override {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, number_), "cudaGetDeviceProperties");
    return "cuda:" + std::to_string(number_) + " (" + properties.name + ", " +
           std::to_string(properties.totalGlobalMem >> 30) + " GiB)";
  }

  std::unique_ptr<StagingSlot> make_slot(const BatchShape& shape) override {
    return std::make_unique<CudaSlot>(shape, copy_, compute_);
  }

  DeviceStream compute_stream() const override { return {compute_.get()}; }

 private:
  static int select(int number) {
    check(cudaSetDevice(number), "cudaSetDevice");
    return number;
  }

  const int number_;
  Stream copy_;
  Stream compute_;
};

}  // namespace

CudaAvailability cuda_availability() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) {
    return {true, "", count};
  }
  cudaGetLastError();  // what can be cleared is not to be seen by the next call
  const std::string words = cudaGetErrorString(code == cudaSuccess ? cudaErrorNoDevice : code);
  return {false,
          "no usable CUDA device: " + words +
              " (is an NVIDIA driver installed that is new enough? nvidia-smi tells)"};
}

std::unique_ptr<Device> make_cuda_device(int number) {
  return std::make_unique<CudaDevice>(number);
}

}  // namespace penstock::gpu
