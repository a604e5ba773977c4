#include <cstring>
#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_checksum.h"
#include "gpu/cuda/handles.h"
#include "gpu/device.h"

namespace penstock::gpu {
namespace {

// Tokens and document boundaries lie one behind the other, so that one copy takes both.
class CudaSlot final : public StagingSlot {
 public:
  // The streams outlive the slot.
  CudaSlot(const BatchShape& shape, const Stream& copy, const Stream& compute)
      : copy_(copy),
        compute_(compute),
        token_bytes_(static_cast<std::size_t>(shape.cells()) * sizeof(TokenId)),
        pinned_(bytes_of(shape)),
        device_(bytes_of(shape)) {}

  void wait_until_writable() override { copied_.synchronize(); }

  DeviceBatch upload(const Batch& batch) override {
    const std::size_t boundary_bytes = batch.cu_seqlens.size() * sizeof(std::int32_t);
    std::memcpy(pinned_.data(), batch.tokens.data(), token_bytes_);
    std::memcpy(pinned_.data() + token_bytes_, batch.cu_seqlens.data(), boundary_bytes);
    copy_.wait(read_.get());
    check(cudaMemcpyAsync(device_.data(),
                          pinned_.data(),
                          token_bytes_ + boundary_bytes,
                          cudaMemcpyHostToDevice,
                          copy_.get()),
          "cudaMemcpyAsync");
    copied_.record(copy_);
    compute_.wait(copied_.get());
    return {batch.index,
            {batch.batch_size, batch.sequence_length, batch.row_length},
            batch.num_tokens,
            reinterpret_cast<const TokenId*>(device_.data()),
            reinterpret_cast<const std::int32_t*>(device_.data() + token_bytes_),
            std::ssize(batch.cu_seqlens) - 1};
  }

  void release() override { read_.record(compute_); }

 private:
  static std::size_t bytes_of(const BatchShape& shape) {
    return static_cast<std::size_t>(shape.cells()) * sizeof(TokenId) +
           (static_cast<std::size_t>(shape.positions()) + 1) * sizeof(std::int32_t);
  }

  const Stream& copy_;
  const Stream& compute_;
  const std::size_t token_bytes_;
  PinnedBuffer pinned_;
  DeviceBuffer device_;
  Event copied_;  // the copy out of the pinned memory is done
  Event read_;    // the kernels that read the device memory are done
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int number) : number_(select(number)) {}

  std::string describe() const override {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, number_), "cudaGetDeviceProperties");
    return "cuda:" + std::to_string(number_) + " (" + properties.name + ", " +
           std::to_string(properties.totalGlobalMem >> 30) + " GiB)";
  }

  std::unique_ptr<StagingSlot> make_slot(const BatchShape& shape) override {
    return std::make_unique<CudaSlot>(shape, copy_, compute_);
  }

  std::unique_ptr<DeviceStage> make_stage(const std::string& name,
                                          const StageConfig&,
                                          const BatchShape&) override {
    if (name == "checksum") {
      return make_cuda_checksum();
    }
    throw std::logic_error("the CUDA backend has no device stage '" + name + "'");
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
  if (code != cudaSuccess) {
    cudaGetLastError();
    return {false, std::string("no usable CUDA device: ") + cudaGetErrorString(code)};
  }
  return {count > 0, count > 0 ? "" : "no CUDA device"};
}

std::unique_ptr<Device> make_cuda_device(int number) {
  return std::make_unique<CudaDevice>(number);
}

}  // namespace penstock::gpu
