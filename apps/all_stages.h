#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Every stage that comes with the command.
StageRegistry all_stages();

}  // namespace penstock
