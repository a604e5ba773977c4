#pragma once

#include <cstddef>
#include <string>

namespace penstock::gpu {

// What people call a kernel: its symbol demangled, without the arguments and what stands before the
// name, and shortened to `most` bytes.
std::string kernel_name(const std::string& symbol, std::size_t most = 100);

}  // namespace penstock::gpu
