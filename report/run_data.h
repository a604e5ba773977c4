#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/metrics_row.h"

namespace penstock {

// What the stages of a pipeline were busy with in a stretch of time: a row of
// occupancy_history.json. Shares are of the time; NaN where one is not known.
struct OccupancyRow {
  struct Stage {
    std::string name;
    double busy = 0;              // share of the time of its threads
    bool has_own_thread = false;  // which is the one that was busier
  };

  double time = 0;             // of its end: seconds since the run began, see MetricsRow
  double seconds = 0;          // its length
  double threads_busy = 0;     // of the pipeline's threads
  double reading_blocked = 0;  // reading waited for memory_limit
  double gpu_busy = MetricsRow::kUnknown;
  std::string limiting_stage;  // see judge_limit()
  std::vector<Stage> stages;   // in pipeline order
};

// A prompt, what the model said to it, and what stood there: a row of text_samples.json.
struct TextSample {
  std::int64_t step = 0;
  std::string prompt;
  std::string predicted;
  std::string reference;
};

// The history of a run, in the order of time.
struct RunData {
  std::vector<MetricsRow> metrics;
  std::vector<OccupancyRow> occupancy;
  std::vector<TextSample> samples;

  bool is_empty() const { return metrics.empty() && occupancy.empty() && samples.empty(); }
};

}  // namespace penstock
