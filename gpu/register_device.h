#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Registers the sink `device`.
void register_device(StageRegistry& registry);

}  // namespace penstock
