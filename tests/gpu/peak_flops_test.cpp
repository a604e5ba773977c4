#include "gpu/peak_flops.h"

#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

TEST(PeakFlops, KnowsGpusByTheirNames) {
  EXPECT_EQ(peak_flops("cuda:0 (NVIDIA H100 80GB HBM3, 80 GiB)"), 989.4e12);
  EXPECT_EQ(peak_flops("cuda:1 (NVIDIA H100 PCIe, 80 GiB)"), 756e12);
  EXPECT_EQ(peak_flops("cuda:0 (NVIDIA H200, 141 GiB)"), 989.4e12);
  EXPECT_EQ(peak_flops("cuda:0 (NVIDIA GB200, 186 GiB)"), std::nullopt);
  EXPECT_EQ(peak_flops("cuda:0 (NVIDIA L40S, 48 GiB)"), 362e12);
  EXPECT_EQ(peak_flops("cuda:0 (NVIDIA A100-SXM4-80GB, 80 GiB)"), 312e12);
}

TEST(PeakFlops, KnowsNothingOfOthers) {
  EXPECT_EQ(peak_flops("cpu"), std::nullopt);
  EXPECT_EQ(peak_flops("cuda:0 (NVIDIA GeForce GTX 1080, 8 GiB)"), std::nullopt);
}

}  // namespace
}  // namespace penstock::gpu
