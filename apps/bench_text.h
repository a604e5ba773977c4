#pragma once

#include <string>

#include "apps/bench_report.h"

namespace penstock {

// The figures of `penstock bench` for people.
std::string bench_text(const BenchReport& report);

}  // namespace penstock
