#pragma once

#include <optional>
#include <string>

namespace penstock::gpu {

// FLOP/s that the tensor cores of a GPU can do with bf16 and fp32 sums, without sparsity, at its
// boost clock: NVIDIA's data sheets. `device` holds its name, as Device::describe() does. Nothing
// for a GPU that is not known, and for a CPU.
std::optional<double> peak_flops(const std::string& device);

}  // namespace penstock::gpu
