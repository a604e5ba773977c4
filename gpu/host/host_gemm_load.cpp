#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <numeric>
#include <vector>

#include "gpu/gemm_load.h"
#include "gpu/host/matrix_product.h"

namespace penstock::gpu {
namespace {

class HostGemmLoad final : public DeviceStage {
 public:
  explicit HostGemmLoad(const GemmLoadOptions& options)
      : size_(options.size),
        left_(num_elements()),
        right_transposed_(num_elements()),
        product_(num_elements()) {
    fill_factors();
    num_products_ = gemm_load_products(options.ms_per_batch, milliseconds_of_product());
  }

  void enqueue(const DeviceBatch&, DeviceStream) override {
    total_ms_ += milliseconds_of_products(num_products_);
    ++num_batches_;
  }

  std::vector<Result> results() override {
    const double sum = std::accumulate(product_.begin(), product_.end(), 0.0);
    return gemm_load_results(
        num_batches_, num_products_, total_ms_, static_cast<std::int64_t>(sum));
  }

 private:
  std::size_t num_elements() const { return static_cast<std::size_t>(size_ * size_); }

  void fill_factors() {
    std::size_t i = 0;
    for (std::int64_t row = 0; row < size_; ++row) {
      for (std::int64_t column = 0; column < size_; ++column, ++i) {
        left_[i] = gemm_load_left(row, column);
        right_transposed_[i] = gemm_load_right(column, row);
      }
    }
  }

  // The fastest of a few: what else the machine does makes one slower, and so does the first touch.
  double milliseconds_of_product() {
    constexpr int kTries = 4;
    double fastest = milliseconds_of_products(1);
    for (int i = 1; i < kTries; ++i) {
      fastest = std::min(fastest, milliseconds_of_products(1));
    }
    return fastest;
  }

  double milliseconds_of_products(std::int64_t count) {
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < count; ++i) {
      multiply_by_transpose(
          size_, size_, size_, left_.data(), right_transposed_.data(), product_.data());
    }
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    return time.count();
  }

  const std::int64_t size_;
  std::vector<float> left_;
  std::vector<float> right_transposed_;
  std::vector<float> product_;
  std::int64_t num_products_ = 1;
  std::int64_t num_batches_ = 0;
  double total_ms_ = 0;
};

}  // namespace

std::unique_ptr<DeviceStage> make_host_gemm_load(const StageConfig& config,
                                                 const DeviceStageContext&) {
  return std::make_unique<HostGemmLoad>(read_gemm_load_options(config));
}

}  // namespace penstock::gpu
