#pragma once

#include <vector>

namespace penstock {

// What repeated measurements gave.
struct Spread {
  double median = 0;
  double min = 0;
  double max = 0;
};

// Of at least one value; the median of an even number is the mean of the two in the middle.
Spread spread_of(std::vector<double> values);

}  // namespace penstock
