#pragma once

#include <string>

#include "apps/bench_report.h"

namespace penstock {

// The same as JSON; docs/benchmarking.md describes the keys.
std::string bench_json(const BenchReport& report);

}  // namespace penstock
