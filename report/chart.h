#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/decimate.h"
#include "report/run_data.h"

namespace penstock {

// A chart of a run, whatever draws it.
struct Chart {
  enum class Unit { kNumber, kShare, kBytes };
  struct Series {
    std::string name;
    std::vector<Point> points;  // in the order of the run; only what is known
  };

  std::string id;  // snake_case
  std::string title;
  std::string x_label;
  std::string y_label;
  Unit unit = Unit::kNumber;  // of y
  bool is_scatter = false;    // single points instead of lines
  std::vector<Series> series;
};

// What the x axis of most charts shows: steps where the run has any, else seconds.
enum class Axis { kStep, kTime };
Axis axis_of(const std::vector<MetricsRow>& metrics);

// Every chart, those without a point too: the same ones for every part of a run, so that what
// comes later can be appended. A series has at most `max_points`, see decimate().
std::vector<Chart> charts_of(const RunData& data, Axis axis, std::size_t max_points);

// How a figure came to stand lately, beside the whole run.
struct Standing {
  std::string name;
  double recent = 0;  // mean over the last tenth of its rows
  double mean = 0;    // over all its rows
};
// Of loss, accuracy and throughput, as far as they are known.
std::vector<Standing> standings_of(const std::vector<MetricsRow>& metrics);

}  // namespace penstock
