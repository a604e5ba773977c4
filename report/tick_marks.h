#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/chart.h"

namespace penstock {

// Round numbers from `min` to `max`, at most `most` (2 at least); for shares and numbers powers of
// ten times 1, 2 or 5, for bytes powers of two.
std::vector<double> tick_marks(double min, double max, int most, Chart::Unit unit);
// The next round number below and above, in the same steps.
std::pair<double, double> round_range(double min, double max, int most, Chart::Unit unit);
// Seconds, at round numbers of seconds, minutes, hours or days.
std::vector<double> time_marks(double min, double max, int most);

// "1.25 M", "40 %", "32 GiB"
std::string mark_text(double value, Chart::Unit unit);
// "5 s", "1:30 min", "12:00 h"
std::string time_text(double seconds);

}  // namespace penstock
