#include "gpu/gemm_load.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace penstock::gpu {
namespace {

constexpr std::int64_t kSizeStep = 8;
// Beyond it the sums of products are no longer exact.
constexpr std::int64_t kMaxSize = 8192;

// A minute: more is a slip.
constexpr double kMaxMsPerBatch = 60'000;

}  // namespace

std::vector<Option> gemm_load_options() {
  const GemmLoadOptions defaults;
  return {
      Option::number("ms_per_batch",
                     "Milliseconds, more than 0, that the device is to be busy with each batch. At "
                     "least one product is computed, however long it takes.")
          .in_range(0, kMaxMsPerBatch)
          .or_else(defaults.ms_per_batch),
      Option::integer("size", "Rows and columns of the matrices, a multiple of 8.")
          .in_range(kSizeStep, kMaxSize)
          .or_else(defaults.size),
  };
}

GemmLoadOptions read_gemm_load_options(const StageConfig& config) {
  GemmLoadOptions options;
  options.ms_per_batch = config.number("ms_per_batch");
  options.size = config.integer("size");
  if (!(options.ms_per_batch > 0)) {
    throw config.error("ms_per_batch", "got 0, expected a number above 0");
  }
  if (options.size % kSizeStep != 0) {
    throw config.error("size",
                       "got " + std::to_string(options.size) + ", expected a multiple of " +
                           std::to_string(kSizeStep));
  }
  return options;
}

float gemm_load_left(std::int64_t row, std::int64_t column) {
  return static_cast<float>((row * (column + 3) + 2 * column) % 9 - 4);
}

float gemm_load_right(std::int64_t row, std::int64_t column) {
  return static_cast<float>((row * (column + 5) + 7 * column) % 9 - 4);
}

std::int64_t gemm_load_products(double ms_per_batch, double ms_per_product) {
  // A clock that did not move says nothing more than: very short.
  constexpr double kShortest = 1e-6;
  const double products = std::round(ms_per_batch / std::max(ms_per_product, kShortest));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(products));
}

std::vector<Result> gemm_load_results(std::int64_t num_batches,
                                      std::int64_t products_per_batch,
                                      double total_ms,
                                      std::int64_t product_checksum) {
  const double mean = num_batches > 0 ? total_ms / static_cast<double>(num_batches)
                                      : std::numeric_limits<double>::quiet_NaN();
  return {{"batches", num_batches},
          {"products_per_batch", products_per_batch},
          {"ms_per_batch", mean},
          {"product_checksum", product_checksum}};
}

}  // namespace penstock::gpu
