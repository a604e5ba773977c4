#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Registers the sink that writes the batches' rows to one .npy file.
void register_write_npy(StageRegistry& registry);

}  // namespace penstock
