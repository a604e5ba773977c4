#pragma once

#include "report/run_data.h"

namespace penstock {

// The history of a training with `steps` steps, one a second, in which `tokenize` limited the run
// for a while.
RunData sample_run(int steps);

}  // namespace penstock
