#pragma once

#include "pipeline/pipeline.h"

namespace penstock {

// What happened between two looks at a run, with the verdict on that: times, tokens, batches, text
// and what the stages were busy with. The rest is as at the end.
RunSummary stretch_between(const RunSummary& begin, const RunSummary& end);

}  // namespace penstock
