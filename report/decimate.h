#pragma once

#include <cstddef>
#include <vector>

namespace penstock {

// A point of a chart.
struct Point {
  double x = 0;
  double y = 0;
};

// At most `max_points` (4 at least) of the points: the first and the last one, and the lowest and
// the highest of each of equally long stretches in between, so that no peak is lost. All of them
// where they are that few. `points` are in the order of x.
std::vector<Point> decimate(const std::vector<Point>& points, std::size_t max_points);

}  // namespace penstock
