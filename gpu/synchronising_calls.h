#pragma once

#include <optional>
#include <string_view>

namespace penstock::gpu {

// The plain name of a function of CUDA's runtime or driver API in which the host may wait for the
// device, or nothing for one in which it does not. `function` may end as profilers write it:
// "cudaMemcpy_ptds_v7000" and "cuMemcpyDtoH_v2" are cudaMemcpy and cuMemcpyDtoH. The result lives
// as long as the program.
std::optional<std::string_view> synchronising_call(std::string_view function);

}  // namespace penstock::gpu
