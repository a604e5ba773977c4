#include "report/decimate.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(Decimate, LeavesFewPointsAlone) {
  const std::vector<Point> points = {{1, 1}, {2, 2}, {3, 3}, {4, 4}};
  EXPECT_EQ(decimate(points, 4).size(), 4U);
  EXPECT_TRUE(decimate({}, 4).empty());
}

TEST(Decimate, KeepsEveryPeakAndTheOrder) {
  std::vector<Point> points;
  for (int i = 0; i < 100'000; ++i) {
    points.push_back({static_cast<double>(i), static_cast<double>(i * 37 % 101)});
  }
  points[12'345].y = 1000;
  points[77'777].y = -1000;
  const std::vector<Point> kept = decimate(points, 2000);
  EXPECT_LE(kept.size(), 2000U);
  EXPECT_GT(kept.size(), 1900U);
  EXPECT_EQ(kept.front().x, 0);
  EXPECT_EQ(kept.back().x, 99'999);
  const auto by_x = [](const Point& left, const Point& right) { return left.x < right.x; };
  EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end(), by_x));
  const auto is_at = [](double x) { return [x](const Point& point) { return point.x == x; }; };
  EXPECT_EQ(std::count_if(kept.begin(), kept.end(), is_at(12'345)), 1);
  EXPECT_EQ(std::count_if(kept.begin(), kept.end(), is_at(77'777)), 1);
}

}  // namespace
}  // namespace penstock
