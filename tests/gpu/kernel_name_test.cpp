#include "gpu/kernel_name.h"

#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

TEST(KernelName, LeavesOutArgumentsAndAnonymousNamespaces) {
  EXPECT_EQ(kernel_name("_ZN8penstock3gpu12_GLOBAL__N_112add_checksumEPKjmmPy"),
            "penstock::gpu::add_checksum");
}

TEST(KernelName, LeavesOutTheReturnTypeOfATemplate) {
  EXPECT_EQ(kernel_name("_ZN8penstock3addIfLi4EEEvPT_i"), "penstock::add<float, 4>");
}

TEST(KernelName, KeepsWhatIsNotMangled) {
  EXPECT_EQ(kernel_name("nvjet_hsh_128x256_64x4_1x2_h_bz_coopB_TNT"),
            "nvjet_hsh_128x256_64x4_1x2_h_bz_coopB_TNT");
}

TEST(KernelName, TellsArgumentsFromOtherParentheses) {
  EXPECT_EQ(kernel_name("_ZN1a1fILNS_1EE1EEEvi"), "a::f<(a::E)1>");
  EXPECT_EQ(kernel_name("_ZN1a1fEPFivE"), "a::f");
}

TEST(KernelName, ShortensLongNames) {
  EXPECT_EQ(kernel_name(std::string(500, 'x'), 10), "xxxxxxx...");
  EXPECT_EQ(kernel_name(std::string(10, 'x'), 10), "xxxxxxxxxx");
}

}  // namespace
}  // namespace penstock::gpu
