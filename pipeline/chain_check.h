#pragma once

#include <vector>

#include "pipeline/config_issues.h"
#include "pipeline/stage_registry.h"
#include "pipeline/written_config.h"

namespace penstock {

// Checks that the stages begin with a source, have one assembler and end with sinks, and that each
// takes what the one before it gives. A stage that is not known passes for anything.
void check_chain(const std::vector<WrittenStage>& stages,
                 const StageRegistry& registry,
                 ConfigIssues& issues);

}  // namespace penstock
