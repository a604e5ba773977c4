#pragma once

#include <string>

#include "pipeline/stage_registry.h"

namespace penstock {

// `penstock new-stage`: writes a project for a stage of this name into a new folder of the same
// name. Refuses a name that `registry` has, or that cannot be one, and a folder that is there
// already. Returns the exit status; throws FileError.
int new_stage_command(const std::string& name,
                      const std::string& kind,
                      const StageRegistry& registry);

}  // namespace penstock
