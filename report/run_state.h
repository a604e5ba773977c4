#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/pipeline.h"
#include "report/run_folder.h"

namespace penstock {

// How a run stands, or how it ended.
struct RunState {
  std::string config;  // path as given
  std::string status;  // running, finished, stopped or failed; unknown where nothing tells
  std::string error;   // why it failed; else empty
  std::vector<std::string> warnings;
  std::string started_at;  // UTC, ISO 8601; may be empty
  std::string device;      // what it ran on; empty where there is no such sink
  double wall_seconds = 0;
  int threads = 0;
  double tokens = MetricsRow::kUnknown;      // delivered, see RunSummary
  double share_done = MetricsRow::kUnknown;  // see RunSummary
  std::string limiting_stage;
  std::string limit_reason;
};

// Of a run that goes on.
RunState state_of(const RunSummary& progress, const std::string& config);

// As the folder's summary tells it. Throws FileError where that cannot be read or is no summary; a
// run that has none, because it goes on or was killed, has the status unknown.
RunState read_run_state(const RunFolder& folder);

// What limited the run, in sentences: on the whole, and for which share of the time.
std::vector<std::string> verdict_of(const RunState& state,
                                    const std::vector<OccupancyRow>& occupancy);

}  // namespace penstock
