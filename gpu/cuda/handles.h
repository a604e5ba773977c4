#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include <cuda_runtime_api.h>

// Owning handles. Construction throws CudaError, destruction does not throw and returns after any
// error of the device; move-only; to be used by the device thread with its device current. There is
// no default stream anywhere.
namespace penstock::gpu {

// A stream that does not synchronise with the default stream.
class Stream {
 public:
  Stream();
  cudaStream_t get() const noexcept { return handle_.get(); }
  // Work enqueued from now on waits for the event.
  void wait(cudaEvent_t event) const;
  // Blocks the calling thread, without spinning, until everything enqueued is done.
  void synchronize() const;

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Destroy> handle_;
};

// A point in a stream. One that was never recorded is done.
class Event {
 public:
  enum class Timing { kNone, kRecorded };

  explicit Event(Timing timing = Timing::kNone);
  cudaEvent_t get() const noexcept { return handle_.get(); }
  void record(cudaStream_t stream);
  // Whether the stream has come to the point. Never waits.
  bool done() const;
  // Blocks the calling thread, without spinning, until it has.
  void synchronize() const;
  // Both are done and were made with Timing::kRecorded.
  double milliseconds_since(const Event& begin) const;

 private:
  struct Destroy {
    void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Destroy> handle_;
};

// Work that is enqueued by one call, however much it is.
class Graph {
 public:
  // Records what `enqueue` enqueues on the stream, which is not done now.
  Graph(const Stream& stream, const std::function<void(cudaStream_t)>& enqueue);
  void launch(cudaStream_t stream) const;

 private:
  struct Destroy {
    void operator()(cudaGraphExec_t graph) const noexcept { cudaGraphExecDestroy(graph); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Destroy> handle_;
};

// Page-locked host memory, which a copy engine can read and write while the host works.
class PinnedBuffer {
 public:
  // `content` says what it is for ("the staging slots") and `option` which option to lower when
  // there is not enough.
  PinnedBuffer(std::size_t bytes,
               const std::string& content,
               const std::string& option = "slots, batch_size or sequence_length");
  std::byte* data() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { cudaFreeHost(bytes); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

class DeviceBuffer {
 public:
  // `content` and `option` say, when there is not enough, what it is for and which option to lower.
  DeviceBuffer(std::size_t bytes, const std::string& content, const std::string& option);
  std::byte* data() const noexcept { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { cudaFree(bytes); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

// Uninitialised elements of one type in device memory.
template <typename T>
class DeviceArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  DeviceArray(std::int64_t size, const std::string& content, const std::string& option)
      : bytes_(static_cast<std::size_t>(size) * sizeof(T)), buffer_(bytes_, content, option) {}
  T* get() const noexcept { return reinterpret_cast<T*>(buffer_.data()); }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::size_t bytes_;
  DeviceBuffer buffer_;
};

}  // namespace penstock::gpu
