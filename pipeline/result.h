#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace penstock {

// One figure, or a row of them, that a sink reports. NaN is a figure that is not there.
struct Result {
  std::string name;  // snake_case
  // A count, a measure, a text, or a row of measures.
  std::variant<std::int64_t, double, std::string, std::vector<double>> value;
};

}  // namespace penstock
