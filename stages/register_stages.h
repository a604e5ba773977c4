#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Registers every stage of this folder: read, parse, tokenize, pack, write_npy.
void register_stages(StageRegistry& registry);

}  // namespace penstock
