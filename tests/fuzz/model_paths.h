#pragma once

#include <string>
#include <vector>

namespace penstock {

// The models that are fuzzed, always in the same order: those of the folder that the environment
// variable PENSTOCK_FUZZ_MODELS names, else those of the repository.
std::vector<std::string> model_paths();

}  // namespace penstock
