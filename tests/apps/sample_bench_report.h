#pragma once

#include "apps/bench_report.h"

namespace penstock {

// What a bench on two processors might tell, with figures that are easy to check: all stages
// together do 100 MB/s a core, of which tokenize takes 71 %.
BenchReport sample_bench_report();

}  // namespace penstock
