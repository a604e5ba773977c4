#pragma once

#include "pipeline/pipeline.h"

namespace penstock {

// Fills limiting_stage and limit_reason from the other figures: a sink that is busy all the time,
// threads that are, lanes that are, or a memory budget that is full. Leaves them empty where
// nothing has happened yet.
void judge_limit(RunSummary& summary);

}  // namespace penstock
