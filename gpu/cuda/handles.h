#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include <cuda_runtime_api.h>

// Owning handles. Construction throws CudaError, destruction does not throw; move-only; to be used
// by the device thread with its device current. There is no default stream anywhere.
namespace penstock::gpu {

// A stream that does not synchronise with the default stream.
class Stream {
 public:
  Stream();
  cudaStream_t get() const noexcept { return handle_.get(); }
  // Work enqueued from now on waits for the event.
  void wait(cudaEvent_t event) const;

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Destroy> handle_;
};

// A point in a stream. Waiting for one that was never recorded returns at once.
class Event {
 public:
  // Waits without spinning, records no time.
  Event();
  cudaEvent_t get() const noexcept { return handle_.get(); }
  void record(const Stream& stream);
  // Blocks the calling thread.
  void synchronize() const;

 private:
  struct Destroy {
    void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Destroy> handle_;
};

// Page-locked host memory, which a copy engine can read while the host works.
class PinnedBuffer {
 public:
  explicit PinnedBuffer(std::size_t bytes);
  std::byte* data() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { cudaFreeHost(bytes); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

class DeviceBuffer {
 public:
  // Says in its error how much was asked for and how much was free.
  explicit DeviceBuffer(std::size_t bytes);
  std::byte* data() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { cudaFree(bytes); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

}  // namespace penstock::gpu
