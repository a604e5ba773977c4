#include "gpu/philox.h"

#include <cstdint>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

using ::testing::ElementsAre;

// The known answers of Random123 1.14, tests/kat_vectors.
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_THAT(philox4x32_10({{0, 0, 0, 0}}, 0, 0).words,
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_THAT(philox4x32_10({{kOnes, kOnes, kOnes, kOnes}}, kOnes, kOnes).words,
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(
      philox4x32_10({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0)
          .words,
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(Philox, PutsCounterStreamAndSeedWhereTheBlockHasThem) {
  const PhiloxBlock block = philox_block(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x13198a2e);
  const PhiloxBlock expected =
      philox4x32_10({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0}}, 0xa4093822, 0x299f31d0);
  EXPECT_THAT(block.words, ::testing::ElementsAreArray(expected.words));
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x13198a2e),
            std::uint64_t{expected.words[1]} << 32 | expected.words[0]);
}

TEST(Philox, DiffersInSeedCounterAndStream) {
  std::set<std::uint64_t> values;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (std::uint64_t counter = 0; counter < 10; ++counter) {
      for (std::uint32_t stream = 0; stream < 10; ++stream) {
        values.insert(philox(seed << 33, counter << 33, stream));
      }
    }
  }
  EXPECT_EQ(values.size(), 1000);
}

TEST(Philox, CanBeComputedByTheCompiler) {
  static_assert(philox4x32_10({{0, 0, 0, 0}}, 0, 0).words[0] == 0x6627e8d5);
  static_assert(uniform_below(std::uint64_t{1} << 63, 10) == 5);
}

TEST(Philox, ScalesToABound) {
  constexpr std::uint64_t kMost = 0xffffffffffffffff;
  EXPECT_EQ(uniform_below(0, 7), 0);
  EXPECT_EQ(uniform_below(kMost, 0), 0);
  EXPECT_EQ(uniform_below(kMost, 7), 6);
  EXPECT_EQ(uniform_below(kMost, kMost), kMost - 1);
  EXPECT_EQ(uniform_below(kMost / 3 + 1, 3), 1);  // the first that is not 0
  EXPECT_EQ(uniform_below(kMost / 3, 3), 0);
  // 0x123456789abcdef0 * 0xfedcba9876543210 >> 64
  EXPECT_EQ(uniform_below(0x123456789abcdef0, 0xfedcba9876543210), 0x121fa00ad77d7422);
}

}  // namespace
}  // namespace penstock::gpu
