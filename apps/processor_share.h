#pragma once

#include "pipeline/pipeline.h"

namespace penstock {

// Of the time in which threads were in stages, the part in which a processor was theirs. `cores`
// are the processors that the run can use.
double processor_share(const RunSummary& summary, int cores);

}  // namespace penstock
