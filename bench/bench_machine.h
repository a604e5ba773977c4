#pragma once

#include <string>
#include <vector>

#include "pipeline/sink.h"

namespace penstock::bench {

// The processor, its cores that this process may use, the CUDA device, its driver and the CUDA
// versions.
std::vector<Result> describe_machine(int device);

// "2026-01-31T12:34:56Z"
std::string utc_now();

}  // namespace penstock::bench
