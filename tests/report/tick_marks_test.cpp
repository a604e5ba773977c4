#include "report/tick_marks.h"

#include <cmath>

#include <gmock/gmock.h>

namespace penstock {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::Pair;
using Unit = Chart::Unit;

TEST(TickMarks, AreRoundNumbers) {
  EXPECT_THAT(tick_marks(0, 10, 6, Unit::kNumber), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(tick_marks(-3, 4.5, 5, Unit::kNumber), ElementsAre(-2, 0, 2, 4));
  EXPECT_THAT(tick_marks(0, 0.0012, 4, Unit::kShare),
              ElementsAre(0, DoubleNear(5e-4, 1e-12), DoubleNear(1e-3, 1e-12)));
  EXPECT_FALSE(std::signbit(tick_marks(0, 10, 6, Unit::kNumber).front()));
}

TEST(TickMarks, ArePowersOfTwoForBytes) {
  constexpr double kGiB = 1 << 30;
  EXPECT_THAT(tick_marks(0, 38 * kGiB, 6, Unit::kBytes),
              ElementsAre(0, 8 * kGiB, 16 * kGiB, 24 * kGiB, 32 * kGiB));
  EXPECT_EQ(mark_text(24 * kGiB, Unit::kBytes), "24 GiB");
}

TEST(TickMarks, RoundARange) {
  EXPECT_THAT(round_range(0.3, 9.1, 6, Unit::kNumber), Pair(0, 10));
  EXPECT_THAT(round_range(0, 10, 6, Unit::kNumber), Pair(0, 10));
}

TEST(TickMarks, AreRoundTimes) {
  EXPECT_THAT(time_marks(0, 1800, 8), ElementsAre(0, 300, 600, 900, 1200, 1500, 1800));
  EXPECT_THAT(time_marks(0, 10 * 86'400, 4), ElementsAre(0, 4 * 86'400, 8 * 86'400));
  EXPECT_THAT(time_marks(0, 0.25, 4), ElementsAre(0, 0.1, 0.2));
  EXPECT_EQ(time_text(5), "5 s");
  EXPECT_EQ(time_text(90), "1:30 min");
  EXPECT_EQ(time_text(90'000), "25:00 h");
}

TEST(TickMarks, HaveShortTexts) {
  EXPECT_EQ(mark_text(0, Unit::kNumber), "0");
  EXPECT_EQ(mark_text(1'250'000, Unit::kNumber), "1.25 M");
  EXPECT_EQ(mark_text(10.945, Unit::kNumber), "10.945");
  EXPECT_EQ(mark_text(0.4, Unit::kShare), "40 %");
}

}  // namespace
}  // namespace penstock
