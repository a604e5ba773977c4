#include "apps/ceiling.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

// Costs are powers of two, so that every figure is exact.
std::vector<StageCost> costs() {
  return {{"read", 0, 4, 1},
          {"decompress", 0, 4, 1},
          {"parse", 1, std::nullopt, 2},
          {"tokenize", 1, std::nullopt, 8},
          {"pack", 2, 1, 4}};
}

TEST(Ceiling, IsTheHarmonicSumOfTheStagesTimesTheCores) {
  EXPECT_EQ(core_seconds_per_byte(costs()), 16);
  EXPECT_EQ(ceiling(costs(), 1), 1.0 / 16);
  EXPECT_EQ(ceiling(costs(), 2), 2.0 / 16);
}

TEST(Ceiling, IsWhatANarrowNodeLetsThrough) {
  // One thread at a time packs a byte in 4 seconds, which is what four cores can do.
  EXPECT_EQ(ceiling(costs(), 4), 1.0 / 4);
  EXPECT_EQ(ceiling(costs(), 8), 1.0 / 4);
}

TEST(Ceiling, AddsUpTheStagesOfANode) {
  std::vector<StageCost> reading = costs();
  reading[0].width = reading[1].width = 1;
  reading[4].seconds_per_byte = 1;
  EXPECT_EQ(ceiling(reading, 64), 1.0 / 2);
}

TEST(Ceiling, DependsMostOnTheCostliestStage) {
  const CeilingLimit limit = find_limit(costs(), 1);
  EXPECT_EQ(limit.stage, 3U);
  EXPECT_FALSE(limit.narrow);
  EXPECT_EQ(limit.core_share, 0.5);
  EXPECT_EQ(limit.gain_twice_as_fast, 16.0 / 12);
}

TEST(Ceiling, DependsMostOnTheNarrowNode) {
  const CeilingLimit limit = find_limit(costs(), 8);
  EXPECT_EQ(limit.stage, 4U);
  EXPECT_EQ(limit.narrow, 1);
  EXPECT_EQ(limit.core_share, 0.25);
  // Twice as fast, packing takes 2 seconds and lets 1/2 through; eight cores could do 8/14.
  EXPECT_EQ(limit.gain_twice_as_fast, 2);
}

TEST(Ceiling, GainsNoMoreThanTheNextLimitAllows) {
  // Five cores could do 5/16; twice as fast, packing makes that 5/14.
  EXPECT_DOUBLE_EQ(find_limit(costs(), 5).gain_twice_as_fast, (5.0 / 14) / (1.0 / 4));
}

}  // namespace
}  // namespace penstock
