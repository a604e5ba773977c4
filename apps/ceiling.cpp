#include "apps/ceiling.h"

#include <algorithm>
#include <map>

namespace penstock {
namespace {

struct Bound {
  double bytes_per_second = 0;
  std::optional<int> node;  // none: all the cores
};

Bound lowest_bound(const std::vector<StageCost>& costs, int cores) {
  Bound bound{cores / core_seconds_per_byte(costs), std::nullopt};
  std::map<int, double> node_costs;
  for (const StageCost& cost : costs) {
    node_costs[cost.node] += cost.seconds_per_byte;
  }
  for (const StageCost& cost : costs) {
    const double node_bound = cost.width ? *cost.width / node_costs[cost.node] : 0;
    if (cost.width && node_bound < bound.bytes_per_second) {
      bound = {node_bound, cost.node};
    }
  }
  return bound;
}

}  // namespace

double core_seconds_per_byte(const std::vector<StageCost>& costs) {
  double sum = 0;
  for (const StageCost& cost : costs) {
    sum += cost.seconds_per_byte;
  }
  return sum;
}

double ceiling(const std::vector<StageCost>& costs, int cores) {
  return lowest_bound(costs, cores).bytes_per_second;
}

CeilingLimit find_limit(const std::vector<StageCost>& costs, int cores) {
  const Bound bound = lowest_bound(costs, cores);
  const auto weight = [&](const StageCost& cost) {
    return !bound.node || cost.node == *bound.node ? cost.seconds_per_byte : -1;
  };
  const auto costliest = std::max_element(
      costs.begin(), costs.end(), [&](const StageCost& left, const StageCost& right) {
        return weight(left) < weight(right);
      });
  std::vector<StageCost> faster = costs;
  const auto stage = static_cast<std::size_t>(costliest - costs.begin());
  faster[stage].seconds_per_byte /= 2;
  return {stage,
          bound.node ? costliest->width : std::nullopt,
          costliest->seconds_per_byte / core_seconds_per_byte(costs),
          ceiling(faster, cores) / bound.bytes_per_second};
}

}  // namespace penstock
