#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "gpu/cuda/blas.h"
#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_gemm_load.h"
#include "gpu/cuda/handles.h"
#include "gpu/cuda/readback.h"
#include "gpu/gemm_load.h"
#include "gpu/lm_weights.h"

namespace penstock::gpu {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = 1024;

// Adds the elements, which are whole numbers, to *sum.
__global__ void add_elements(const float* elements, std::int64_t count, unsigned long long* sum) {
  std::int64_t own = 0;
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    own += static_cast<std::int64_t>(elements[i]);
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    own += __shfl_down_sync(0xffffffffu, own, offset);
  }
  if (threadIdx.x % 32 == 0) {
    atomicAdd(sum, static_cast<unsigned long long>(own));  // modulo 2^64, as negative numbers are
  }
}

// The stretches of time that something took on the device, which are read as they become known.
class Stopwatch {
 public:
  // Between the two, work is enqueued. Where too many stretches are not known yet, one goes
  // unmeasured rather than wait.
  void begin(cudaStream_t stream) {
    read_what_is_done();
    measures_ = num_pending_ < kMaxPending;
    if (measures_) {
      newest().begin.record(stream);
    }
  }
  void end(cudaStream_t stream) {
    if (measures_) {
      newest().end.record(stream);
      ++num_pending_;
    }
  }
  // Of the stretches that were measured; waits for them. 0 without any.
  double mean_milliseconds() {
    while (num_pending_ > 0) {
      stretches_[oldest_].end.synchronize();
      read_oldest();
    }
    return num_read_ > 0 ? total_ms_ / static_cast<double>(num_read_) : 0;
  }

 private:
  static constexpr std::size_t kMaxPending = 256;
  struct Stretch {
    Event begin{Event::Timing::kRecorded};
    Event end{Event::Timing::kRecorded};
  };

  Stretch& newest() { return stretches_[(oldest_ + num_pending_) % kMaxPending]; }
  void read_what_is_done() {
    while (num_pending_ > 0 && stretches_[oldest_].end.done()) {
      read_oldest();
    }
  }
  void read_oldest() {
    total_ms_ += stretches_[oldest_].end.milliseconds_since(stretches_[oldest_].begin);
    ++num_read_;
    oldest_ = (oldest_ + 1) % kMaxPending;
    --num_pending_;
  }

  std::vector<Stretch> stretches_{kMaxPending};
  std::size_t oldest_ = 0;
  std::size_t num_pending_ = 0;
  bool measures_ = false;
  double total_ms_ = 0;
  std::int64_t num_read_ = 0;
};

class CudaGemmLoad final : public DeviceStage {
 public:
  explicit CudaGemmLoad(const GemmLoadOptions& options)
      : size_(options.size),
        left_(size_ * size_, "a matrix of gemm_load", "size"),
        right_(size_ * size_, "a matrix of gemm_load", "size"),
        product_(size_ * size_, "a matrix of gemm_load", "size"),
        sum_(1, "the checksum of gemm_load", "size"),
        sum_on_host_(sum_.bytes(), 1, "the checksum of gemm_load") {
    upload_factors();
    // So that an element that no product writes is NaN.
    check(cudaMemsetAsync(product_.get(), 0xff, product_.bytes(), own_stream_.get()),
          "cudaMemsetAsync");
    multiply(own_stream_.get());  // loads the code
    own_stream_.synchronize();
    plan(gemm_load_products(options.ms_per_batch, measure_product()));
  }

  void enqueue(const DeviceBatch&, DeviceStream stream) override {
    stream_ = static_cast<cudaStream_t>(stream.handle);
    stopwatch_.begin(stream_);
    for (std::int64_t i = 0; i < launches_; ++i) {
      products_->launch(stream_);
    }
    stopwatch_.end(stream_);
    ++num_batches_;
  }

  std::vector<Result> results() override {
    const std::int64_t checksum =
        product_checksum(stream_ != nullptr ? stream_ : own_stream_.get());
    return gemm_load_results(num_batches_,
                             launches_ * products_of_a_launch_,
                             stopwatch_.mean_milliseconds() * static_cast<double>(num_batches_),
                             checksum);
  }

 private:
  void upload_factors() {
    std::vector<Bf16> left;
    std::vector<Bf16> right;  // transposed
    for (std::int64_t row = 0; row < size_; ++row) {
      for (std::int64_t column = 0; column < size_; ++column) {
        left.push_back(to_bf16(gemm_load_left(row, column)));
        right.push_back(to_bf16(gemm_load_right(column, row)));
      }
    }
    upload(left, left_);
    upload(right, right_);
    own_stream_.synchronize();
  }

  void upload(const std::vector<Bf16>& from, const DeviceArray<Bf16>& to) const {
    check(cudaMemcpyAsync(
              to.get(), from.data(), to.bytes(), cudaMemcpyHostToDevice, own_stream_.get()),
          "cudaMemcpyAsync");
  }

  void multiply(cudaStream_t stream) {
    blas_.multiply({size_, size_, size_, left_.get(), right_.get(), product_.get(), size_}, stream);
  }

  Graph graph_of(std::int64_t count) {
    return Graph(own_stream_, [this, count](cudaStream_t stream) {
      for (std::int64_t i = 0; i < count; ++i) {
        multiply(stream);
      }
    });
  }

  // Milliseconds, the median of several runs after a device has had the time to speed up.
  double measure_product() {
    constexpr std::int64_t kProducts = 32;
    constexpr double kWarmUpMs = 100;
    constexpr std::size_t kRuns = 9;
    const Graph graph = graph_of(kProducts);
    double warmed_up = 0;
    while (warmed_up < kWarmUpMs) {
      warmed_up += measure(graph);
    }
    std::vector<double> runs;
    while (runs.size() < kRuns) {
      runs.push_back(measure(graph));
    }
    std::nth_element(runs.begin(), runs.begin() + kRuns / 2, runs.end());
    return runs[kRuns / 2] / kProducts;
  }

  double measure(const Graph& graph) {
    Event begin(Event::Timing::kRecorded);
    Event end(Event::Timing::kRecorded);
    begin.record(own_stream_.get());
    graph.launch(own_stream_.get());
    end.record(own_stream_.get());
    end.synchronize();
    return end.milliseconds_since(begin);
  }

  // The products of a batch are launched by the graph, several times where there are many: then
  // there may be a little more of them than asked for.
  void plan(std::int64_t products) {
    constexpr std::int64_t kMaxOfALaunch = 512;
    launches_ = (products + kMaxOfALaunch - 1) / kMaxOfALaunch;
    products_of_a_launch_ = (products + launches_ - 1) / launches_;
    products_ = graph_of(products_of_a_launch_);
    products_->launch(own_stream_.get());
    own_stream_.synchronize();
  }

  std::int64_t product_checksum(cudaStream_t stream) {
    check(cudaMemsetAsync(sum_.get(), 0, sum_.bytes(), stream), "cudaMemsetAsync");
    add_elements<<<kBlocks, kThreads, 0, stream>>>(product_.get(), size_ * size_, sum_.get());
    check(cudaGetLastError(), "add_elements");
    sum_on_host_.enqueue(reinterpret_cast<const std::byte*>(sum_.get()), sum_.bytes(), stream);
    sum_on_host_.wait();
    std::int64_t checksum = 0;
    std::memcpy(&checksum, sum_on_host_.next().value().data(), sizeof checksum);
    return checksum;
  }

  const std::int64_t size_;
  Stream own_stream_;
  DeviceArray<Bf16> left_;
  DeviceArray<Bf16> right_;  // transposed
  DeviceArray<float> product_;
  DeviceArray<unsigned long long> sum_;
  Readback sum_on_host_;
  Blas blas_;
  std::optional<Graph> products_;  // once it is known how many there are
  std::int64_t products_of_a_launch_ = 0;
  std::int64_t launches_ = 0;  // with each batch
  Stopwatch stopwatch_;
  std::int64_t num_batches_ = 0;
  cudaStream_t stream_ = nullptr;  // of the last batch; outlives the stage
};

}  // namespace

std::unique_ptr<DeviceStage> make_cuda_gemm_load(const StageConfig& config,
                                                 const DeviceStageContext&) {
  return std::make_unique<CudaGemmLoad>(read_gemm_load_options(config));
}

}  // namespace penstock::gpu
