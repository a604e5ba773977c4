#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

struct RunOptions {
  ConfigText config;
  std::vector<std::string> overrides;
  std::string summary_path;  // JSON; empty: none; "-": standard output, instead of the text
  bool quiet = false;        // neither progress nor text, only errors and warnings
  std::string run_folder;    // empty: as the configuration says
  std::string serve;         // "ADDRESS:PORT" to show the run at; empty: nowhere
  std::string resume;      // checkpoint, folder of checkpoints, or "latest"; empty: from the start
  std::string trace_path;  // time line for ui.perfetto.dev; empty: none
  // How long a report may take once the process should have ended.
  std::chrono::milliseconds report_grace{200};
};

// `penstock run`: returns the exit status. Throws ConfigError and FileError for what is wrong
// before the run.
int run_command(const RunOptions& options, const StageRegistry& registry);

}  // namespace penstock
