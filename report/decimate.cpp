#include "report/decimate.h"

#include <algorithm>

namespace penstock {

std::vector<Point> decimate(const std::vector<Point>& points, std::size_t max_points) {
  if (points.size() <= max_points) {
    return points;
  }
  const auto is_lower = [](const Point& left, const Point& right) { return left.y < right.y; };
  const std::size_t stretches = (max_points - 2) / 2;
  const std::size_t inner = points.size() - 2;
  std::vector<Point> kept = {points.front()};
  for (std::size_t i = 0; i < stretches; ++i) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(1 + inner * i / stretches);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>(1 + inner * (i + 1) / stretches);
    const auto [lowest, highest] = std::minmax_element(begin, end, is_lower);
    kept.push_back(std::min(lowest, highest)[0]);
    if (lowest != highest) {
      kept.push_back(std::max(lowest, highest)[0]);
    }
  }
  kept.push_back(points.back());
  return kept;
}

}  // namespace penstock
