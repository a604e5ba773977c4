#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/run_data.h"

namespace penstock {

// Who limited the run, who worked and who waited for whom, as time went on.
struct TimeLine {
  struct Segment {
    double begin = 0;  // seconds since the run began
    double end = 0;
    std::string state;  // "limits", "works", "waits for NAME" or "waits"
    double busy = 0;    // share of the time
  };
  struct Row {
    std::string who;  // a stage, or GPU
    std::vector<Segment> segments;
  };
  std::vector<Row> rows;
};

// Neighbouring rows are put together so that there are at most `max_rows`, by the mean of their
// shares; what limited for the longest time limits.
std::vector<OccupancyRow> merge_occupancy(const std::vector<OccupancyRow>& rows,
                                          std::size_t max_rows);

// What limits in a stretch of time limits, what is busy for half of the time or more works, and
// everything else waits for what limits. Neighbouring stretches of one state are one segment.
TimeLine time_line_of(const std::vector<OccupancyRow>& rows);

}  // namespace penstock
