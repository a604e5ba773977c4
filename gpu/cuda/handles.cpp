#include "gpu/cuda/handles.h"

#include <iomanip>
#include <sstream>
#include <utility>

#include "gpu/cuda/check.h"

namespace penstock::gpu {
namespace {

// "62.0 MiB"
std::string readable(std::size_t bytes) {
  constexpr double kMebibyte = 1 << 20;
  const double mebibytes = static_cast<double>(bytes) / kMebibyte;
  std::ostringstream text;
  text << std::fixed << std::setprecision(1);
  if (mebibytes < 1024) {
    text << mebibytes << " MiB";
  } else {
    text << mebibytes / 1024 << " GiB";
  }
  return text.str();
}

// "62.0 MiB, 10.0 MiB of 79.1 GiB are free"
std::string asked_and_free(std::size_t bytes) {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  return readable(bytes) + ", " + readable(free_bytes) + " of " + readable(total_bytes) +
         " are free";
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

void Stream::synchronize() const {
  Event end;
  end.record(get());
  end.synchronize();
}

Event::Event(Timing timing) {
  cudaEvent_t event = nullptr;
  const unsigned no_timing = timing == Timing::kNone ? cudaEventDisableTiming : 0;
  check(cudaEventCreateWithFlags(&event, no_timing | cudaEventBlockingSync),
        "cudaEventCreateWithFlags");
  handle_.reset(event);
}

void Event::record(cudaStream_t stream) {
  check(cudaEventRecord(get(), stream), "cudaEventRecord");
}

bool Event::done() const {
  const cudaError_t code = cudaEventQuery(get());
  if (code == cudaErrorNotReady) {
    cudaGetLastError();  // no error; the next look for one is not to find it
    return false;
  }
  check(code, "cudaEventQuery");
  return true;
}

void Event::synchronize() const {
  check(cudaEventSynchronize(get()), "cudaEventSynchronize");
}

double Event::milliseconds_since(const Event& begin) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin.get(), get()), "cudaEventElapsedTime");
  return milliseconds;
}

namespace {

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const noexcept { cudaGraphDestroy(graph); }
};
using RecordedGraph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;

RecordedGraph record(const Stream& stream, const std::function<void(cudaStream_t)>& enqueue) {
  const auto end = [&stream] {
    cudaGraph_t graph = nullptr;
    const cudaError_t code = cudaStreamEndCapture(stream.get(), &graph);
    return std::pair(RecordedGraph(graph), code);
  };
  check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  try {
    enqueue(stream.get());
  } catch (...) {
    end();
    throw;
  }
  auto [graph, code] = end();
  check(code, "cudaStreamEndCapture");
  return std::move(graph);
}

}  // namespace

Graph::Graph(const Stream& stream, const std::function<void(cudaStream_t)>& enqueue) {
  const RecordedGraph recorded = record(stream, enqueue);
  cudaGraphExec_t graph = nullptr;
  check(cudaGraphInstantiate(&graph, recorded.get(), 0), "cudaGraphInstantiate");
  handle_.reset(graph);
  check(cudaGraphUpload(graph, stream.get()), "cudaGraphUpload");
}

void Graph::launch(cudaStream_t stream) const {
  check(cudaGraphLaunch(handle_.get(), stream), "cudaGraphLaunch");
}

PinnedBuffer::PinnedBuffer(std::size_t bytes,
                           const std::string& content,
                           const std::string& option) {
  void* memory = nullptr;
  const cudaError_t code = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw CudaError("out of page-locked host memory for " + content + ": asked for " +
                    readable(bytes) + "; lower " + option);
  }
  check(code, "cudaHostAlloc");
  data_.reset(static_cast<std::byte*>(memory));
}

DeviceBuffer::DeviceBuffer(std::size_t bytes,
                           const std::string& content,
                           const std::string& option) {
  void* memory = nullptr;
  const cudaError_t code = cudaMalloc(&memory, bytes);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw CudaError("out of device memory for " + content + ": asked for " + asked_and_free(bytes) +
                    "; lower " + option);
  }
  check(code, "cudaMalloc");
  data_.reset(static_cast<std::byte*>(memory));
}

}  // namespace penstock::gpu
