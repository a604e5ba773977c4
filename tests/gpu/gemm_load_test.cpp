#include "gpu/gemm_load.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/errors.h"
#include "tests/gpu/lm_batches.h"

namespace penstock::gpu {
namespace {

using ::testing::HasSubstr;

constexpr BatchShape kShape{2, 8, 8};

StageConfig make_config(const std::map<std::string, OptionValue>& values) {
  return device_stage_config(gemm_load_options(), values);
}

std::vector<Result> run_on_host(const std::map<std::string, OptionValue>& values,
                                std::int64_t num_batches) {
  const StreamInfo stream;
  FileClaims files;
  const std::unique_ptr<DeviceStage> stage =
      make_host_gemm_load(make_config(values), {kShape, stream, files});
  const std::unique_ptr<Device> device = make_host_device();
  return run_stage(
      *device,
      *stage,
      num_batches > 0 ? random_batches(kShape, 100, num_batches, 0, 1) : std::vector<Batch>());
}

std::int64_t expected_checksum(std::int64_t size) {
  std::int64_t sum = 0;
  for (std::int64_t row = 0; row < size; ++row) {
    for (std::int64_t column = 0; column < size; ++column) {
      for (std::int64_t k = 0; k < size; ++k) {
        sum += static_cast<std::int64_t>(gemm_load_left(row, k)) *
               static_cast<std::int64_t>(gemm_load_right(k, column));
      }
    }
  }
  return sum;
}

std::string error_of(const std::map<std::string, OptionValue>& values) {
  try {
    read_gemm_load_options(make_config(values));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(GemmLoad, MultipliesTheFactors) {
  for (const std::int64_t size : {8, 24, 104}) {
    const std::vector<Result> results = run_on_host({{"size", size}, {"ms_per_batch", 0.001}}, 1);
    EXPECT_EQ(integer_result(results, "product_checksum"), expected_checksum(size));
    EXPECT_NE(expected_checksum(size), 0);
  }
}

TEST(GemmLoad, CountsBatchesAndTheirTime) {
  const std::vector<Result> results =
      run_on_host({{"size", std::int64_t{8}}, {"ms_per_batch", 0.001}}, 4);
  EXPECT_EQ(integer_result(results, "batches"), 4);
  EXPECT_GE(integer_result(results, "products_per_batch"), 1);
  EXPECT_GT(number_result(results, "ms_per_batch"), 0);
}

TEST(GemmLoad, HasNoTimePerBatchWithoutBatches) {
  EXPECT_TRUE(
      std::isnan(number_result(run_on_host({{"size", std::int64_t{8}}}, 0), "ms_per_batch")));
}

TEST(GemmLoad, TakesTheNearestNumberOfProducts) {
  EXPECT_EQ(gemm_load_products(10, 2), 5);
  EXPECT_EQ(gemm_load_products(10, 4), 3);
  EXPECT_GT(gemm_load_products(10, 0), 1000);
}

TEST(GemmLoad, ComputesAtLeastOneProduct) {
  EXPECT_EQ(gemm_load_products(10, 100), 1);
  EXPECT_EQ(gemm_load_products(1e-6, 60'000), 1);
}

TEST(GemmLoad, DividesTheTimeByTheBatches) {
  const std::vector<Result> results = gemm_load_results(4, 7, 10, 123);
  EXPECT_EQ(integer_result(results, "batches"), 4);
  EXPECT_EQ(integer_result(results, "products_per_batch"), 7);
  EXPECT_EQ(number_result(results, "ms_per_batch"), 2.5);
  EXPECT_EQ(integer_result(results, "product_checksum"), 123);
}

TEST(GemmLoad, HasFactorsOfSmallWholeNumbers) {
  std::set<float> left;
  std::set<float> right;
  for (std::int64_t row = 8000; row < 8192; ++row) {
    for (std::int64_t column = 0; column < 64; ++column) {
      left.insert(gemm_load_left(row, column));
      right.insert(gemm_load_right(row, column));
    }
  }
  const std::set<float> expected = {-4, -3, -2, -1, 0, 1, 2, 3, 4};
  EXPECT_EQ(left, expected);
  EXPECT_EQ(right, expected);
  EXPECT_NE(gemm_load_left(1, 2), gemm_load_left(2, 1));
  EXPECT_NE(gemm_load_right(1, 2), gemm_load_right(2, 1));
}

TEST(GemmLoad, RefusesNoTimeAndOtherSizes) {
  EXPECT_THAT(
      error_of({{"ms_per_batch", 0.0}}),
      HasSubstr(
          "test.yaml:ms_per_batch: option 'ms_per_batch' of stage 'device': got 0, expected a "
          "number above 0"));
  EXPECT_THAT(error_of({{"size", std::int64_t{12}}}),
              HasSubstr("got 12, expected a multiple of 8"));
}

TEST(GemmLoad, DeclaresTheRangesOfItsOptions) {
  const std::vector<Option> options = gemm_load_options();
  EXPECT_FALSE(parse_option(options[0], {"-1"}, false).value);
  EXPECT_FALSE(parse_option(options[1], {"8200"}, false).value);
  EXPECT_TRUE(parse_option(options[1], {"8192"}, false).value);
}

}  // namespace
}  // namespace penstock::gpu
