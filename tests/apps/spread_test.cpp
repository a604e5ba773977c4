#include "apps/spread.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Spread, TakesTheValueInTheMiddle) {
  const Spread spread = spread_of({5, 1, 3});
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.min, 1);
  EXPECT_EQ(spread.max, 5);
}

TEST(Spread, TakesTheMeanOfTwoInTheMiddle) {
  EXPECT_EQ(spread_of({8, 1, 2, 4}).median, 3);
  EXPECT_EQ(spread_of({7}).median, 7);
}

}  // namespace
}  // namespace penstock
