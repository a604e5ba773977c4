#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Registers the sink `device` with the built-in device stages; add_device_stage() adds others.
void register_device(StageRegistry& registry);

}  // namespace penstock
