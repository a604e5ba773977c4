#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Registers every stage of this folder: read, parse, tokenize, tokenize_bytes, pack, write_npy,
// discard.
void register_stages(StageRegistry& registry);

}  // namespace penstock
