#pragma once

#include "pipeline/stage_registry.h"

// Registers the stage `min_length`.
void register_min_length(penstock::StageRegistry& registry);
