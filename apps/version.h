#pragma once

#include <string>

namespace penstock {

// "0.1.0"
const char* version();

// What `penstock --version` prints: "penstock 0.1.0" in the first line, which programs read; then
// the interface version, the compiler and the libraries that it was built with, CUDA, and the SIMD
// levels of this machine.
std::string version_text();

}  // namespace penstock
