#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Registers `parse`: turns the records of a ByteChunk into documents.
void register_parse(StageRegistry& registry);

}  // namespace penstock
