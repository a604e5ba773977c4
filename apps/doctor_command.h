#pragma once

#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

struct DoctorOptions {
  ConfigText config;
  std::vector<std::string> overrides;
  double seconds = 60;  // for everything; a bound to aim at
};

// `penstock doctor`: runs the pipeline for a while and says what limits it and what can be changed.
// Returns the exit status. Throws ConfigError and FileError for what is wrong before anything runs.
int doctor_command(const DoctorOptions& options, const StageRegistry& registry);

}  // namespace penstock
