#pragma once

#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// `penstock graph`: prints the graph that a configuration builds, in `format` "mermaid" or "dot".
// Returns the exit status; throws ConfigError and FileError.
int graph_command(const ConfigText& text,
                  const std::vector<std::string>& overrides,
                  const std::string& format,
                  const StageRegistry& registry);

}  // namespace penstock
