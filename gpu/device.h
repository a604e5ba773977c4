#pragma once

#include <memory>
#include <string>

#include "gpu/device_stage.h"

namespace penstock::gpu {

// A place in which batches are staged on their way to the device: memory that the host writes, the
// device memory that it is copied to, and what orders the copy and the kernels. Belongs to the
// device thread.
class StagingSlot {
 public:
  StagingSlot() = default;
  StagingSlot(const StagingSlot&) = delete;
  StagingSlot& operator=(const StagingSlot&) = delete;
  virtual ~StagingSlot() = default;

  // Waits until the copy out of the host memory that was enqueued last is done, which itself waits
  // for the kernels that read the slot before it. The only wait for the device in steady state.
  virtual void wait_until_writable() = 0;
  // Copies the batch into the slot's host memory, enqueues the copy to the device behind the
  // kernels that last read the slot, and makes the compute stream wait for it. The batch may be
  // destroyed when this returns.
  virtual DeviceBatch upload(const Batch& batch) = 0;
  // The kernels that read the slot have been enqueued: the next upload waits for them.
  virtual void release() = 0;
};

enum class Backend { kHost, kCuda };

// A device that batches are fed to. Made, used and destroyed by the device thread alone.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  virtual Backend backend() const = 0;
  // "cpu", "cuda:0 (NVIDIA H100 80GB HBM3, 80 GiB)"
  virtual std::string describe() const = 0;
  virtual std::unique_ptr<StagingSlot> make_slot(const BatchShape& shape) = 0;
  // What the stage's work is enqueued on.
  virtual DeviceStream compute_stream() const = 0;
};

// The host backend: the staging memory is the device memory. Always there.
std::unique_ptr<Device> make_host_device();

// Whether this build and this machine can use CUDA, and if not, why not, in one sentence.
struct CudaAvailability {
  bool available = false;
  std::string reason;   // why not: "no usable CUDA device: ..."
  int num_devices = 0;  // cuda:0, cuda:1, ...
};
// On the device thread.
CudaAvailability cuda_availability();
// Throws std::runtime_error naming the call, and for memory how much was asked for and was free.
std::unique_ptr<Device> make_cuda_device(int number);

}  // namespace penstock::gpu
