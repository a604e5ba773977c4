#pragma once

#include <chrono>
#include <string>

#include "pipeline/pipeline.h"

namespace penstock {

enum class RunStatus { kFinished, kStopped, kFailed };

// A run as the command tells of it: what the pipeline counted, and what only the command knows.
struct RunReport {
  RunStatus status = RunStatus::kFinished;
  std::string error;   // why the run failed or could not be stopped in time; else empty
  std::string config;  // path as given
  std::chrono::system_clock::time_point started;
  RunSummary summary;
};

}  // namespace penstock
