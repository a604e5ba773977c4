#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace penstock {

// What a stage takes of one core, alone.
struct StageCost {
  std::string name;
  int node = 0;              // of the graph: stages of one share its threads
  std::optional<int> width;  // threads that can be in the node at once; none: all that there are
  double seconds_per_byte = 0;
};

// Seconds of one core for a byte that goes through every stage.
double core_seconds_per_byte(const std::vector<StageCost>& costs);

// Bytes per second that the stages cannot exceed on so many cores: as many as there are, divided by
// the sum of the costs; or, where that is less, the width of a node divided by the sum of its
// costs.
double ceiling(const std::vector<StageCost>& costs, int cores);

// The stage that the ceiling depends on most.
struct CeilingLimit {
  std::size_t stage = 0;          // the costliest: of all, or of the node that is too narrow
  std::optional<int> narrow;      // width of that node
  double core_share = 0;          // of core_seconds_per_byte()
  double gain_twice_as_fast = 1;  // the ceiling would be so many times higher
};
CeilingLimit find_limit(const std::vector<StageCost>& costs, int cores);

}  // namespace penstock
