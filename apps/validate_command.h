#pragma once

#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// `penstock validate`: checks a configuration, with the files and models it names, without reading
// any input. Returns the exit status; throws ConfigError and FileError.
int validate_command(const ConfigText& text,
                     const std::vector<std::string>& overrides,
                     const StageRegistry& registry);

}  // namespace penstock
