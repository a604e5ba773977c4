#include "gpu/cuda/handles.h"

#include <string>

#include "gpu/cuda/check.h"

namespace penstock::gpu {
namespace {

std::string mebibytes(std::size_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

}  // namespace

Stream::Stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  handle_.reset(stream);
}

void Stream::wait(cudaEvent_t event) const {
  check(cudaStreamWaitEvent(get(), event, 0), "cudaStreamWaitEvent");
}

Event::Event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync),
        "cudaEventCreateWithFlags");
  handle_.reset(event);
}

void Event::record(const Stream& stream) {
  check(cudaEventRecord(get(), stream.get()), "cudaEventRecord");
}

void Event::synchronize() const {
  check(cudaEventSynchronize(get()), "cudaEventSynchronize");
}

PinnedBuffer::PinnedBuffer(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "cudaHostAlloc");
  data_.reset(static_cast<std::byte*>(memory));
}

DeviceBuffer::DeviceBuffer(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t code = cudaMalloc(&memory, bytes);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
    throw CudaError("out of device memory: asked for " + mebibytes(bytes) + ", " +
                    mebibytes(free_bytes) + " of " + mebibytes(total_bytes) +
                    " are free; lower batch_size, sequence_length or slots");
  }
  check(code, "cudaMalloc");
  data_.reset(static_cast<std::byte*>(memory));
}

}  // namespace penstock::gpu
