#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gpu/device_stage_type.h"

namespace penstock::gpu {

// The device stage `gemm_load`: multiplies two matrices [size, size] as often with every batch as
// takes `ms_per_batch` on this device, which is measured before the first batch. The factors are
// small whole numbers that depend on nothing, so the product is exact in any order of summation and
// the same on every device.
struct GemmLoadOptions {
  double ms_per_batch = 10;
  std::int64_t size = 1024;
};
std::vector<Option> gemm_load_options();
// Throws ConfigError.
GemmLoadOptions read_gemm_load_options(const StageConfig& config);

// Elements of the factors, from -4 to 4: exact in bf16, and sums of size <= 8192 products are in
// fp32. The device stage multiplies left * right. Host functions: backends fill matrices with them.
float gemm_load_left(std::int64_t row, std::int64_t column);
float gemm_load_right(std::int64_t row, std::int64_t column);

// How many products take `ms_per_batch`, nearest, where one takes `ms_per_product`; at least one.
std::int64_t gemm_load_products(double ms_per_batch, double ms_per_product);

// batches, products_per_batch, ms_per_batch (NaN without a batch) and product_checksum: the sum of
// all elements of the product that was computed last, which is a whole number below 2^53.
std::vector<Result> gemm_load_results(std::int64_t num_batches,
                                      std::int64_t products_per_batch,
                                      double total_ms,
                                      std::int64_t product_checksum);

std::unique_ptr<DeviceStage> make_host_gemm_load(const StageConfig& config,
                                                 const DeviceStageContext& context);

}  // namespace penstock::gpu
