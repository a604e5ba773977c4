#pragma once

#include <functional>

namespace penstock::testing {

// Calls `check` once for every set of vector instructions that the machine has and that the code
// was compiled for, from the plainest to the best, with that one in use; says which on a failure.
void with_every_simd_target(const std::function<void()>& check);

}  // namespace penstock::testing
