#pragma once

#include "apps/run_report.h"

namespace penstock {

// A finished run of two stages and a sink, with every field filled in.
RunReport sample_report();

}  // namespace penstock
