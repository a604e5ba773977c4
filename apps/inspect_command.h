#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// `penstock inspect`: runs a configuration without its sinks until it has given `rows` rows, and
// prints them. Returns the exit status; throws ConfigError and FileError for what is wrong before
// the run.
int inspect_command(const ConfigText& text,
                    const std::vector<std::string>& overrides,
                    std::int64_t rows,
                    const StageRegistry& registry);

}  // namespace penstock
