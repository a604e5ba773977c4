#include "gpu/synchronising_calls.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace penstock::gpu {
namespace {

// Sorted. From the CUDA Runtime API's and the CUDA Driver API's page "API synchronization behavior"
// (the copies and fills that are not "Async"), from the CUDA C++ Programming Guide's "Implicit
// Synchronization" (what allocates and frees memory of the device and page-locked memory of the
// host) and "Lazy Loading" (what loads and unloads code), and from the description of each function
// that waits by its purpose or resets. All count, also where the arguments of a call spare the
// wait.
constexpr std::array kSynchronisingCalls = std::to_array<std::string_view>({
    "cuArray3DCreate",
    "cuArrayCreate",
    "cuArrayDestroy",
    "cuCtxDestroy",
    "cuCtxSynchronize",
    "cuDevicePrimaryCtxRelease",
    "cuDevicePrimaryCtxReset",
    "cuEventSynchronize",
    "cuLibraryLoadData",
    "cuLibraryLoadFromFile",
    "cuLibraryUnload",
    "cuMemAlloc",
    "cuMemAllocHost",
    "cuMemAllocManaged",
    "cuMemAllocPitch",
    "cuMemFree",
    "cuMemFreeHost",
    "cuMemHostAlloc",
    "cuMemHostRegister",
    "cuMemHostUnregister",
    "cuMemcpy",
    "cuMemcpy2D",
    "cuMemcpy2DUnaligned",
    "cuMemcpy3D",
    "cuMemcpy3DPeer",
    "cuMemcpyAtoA",
    "cuMemcpyAtoD",
    "cuMemcpyAtoH",
    "cuMemcpyDtoA",
    "cuMemcpyDtoD",
    "cuMemcpyDtoH",
    "cuMemcpyHtoA",
    "cuMemcpyHtoD",
    "cuMemcpyPeer",
    "cuMemsetD16",
    "cuMemsetD2D16",
    "cuMemsetD2D32",
    "cuMemsetD2D8",
    "cuMemsetD32",
    "cuMemsetD8",
    "cuMipmappedArrayCreate",
    "cuMipmappedArrayDestroy",
    "cuModuleLoad",
    "cuModuleLoadData",
    "cuModuleLoadDataEx",
    "cuModuleLoadFatBinary",
    "cuModuleUnload",
    "cuStreamSynchronize",
    "cudaDeviceReset",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
    "cudaFree",
    "cudaFreeArray",
    "cudaFreeHost",
    "cudaFreeMipmappedArray",
    "cudaHostAlloc",
    "cudaHostRegister",
    "cudaHostUnregister",
    "cudaMalloc",
    "cudaMalloc3D",
    "cudaMalloc3DArray",
    "cudaMallocArray",
    "cudaMallocHost",
    "cudaMallocManaged",
    "cudaMallocMipmappedArray",
    "cudaMallocPitch",
    "cudaMemcpy",
    "cudaMemcpy2D",
    "cudaMemcpy2DArrayToArray",
    "cudaMemcpy2DFromArray",
    "cudaMemcpy2DToArray",
    "cudaMemcpy3D",
    "cudaMemcpy3DPeer",
    "cudaMemcpyArrayToArray",
    "cudaMemcpyFromArray",
    "cudaMemcpyFromSymbol",
    "cudaMemcpyPeer",
    "cudaMemcpyToArray",
    "cudaMemcpyToSymbol",
    "cudaMemset",
    "cudaMemset2D",
    "cudaMemset3D",
    "cudaStreamSynchronize",
    "cudaThreadExit",
    "cudaThreadSynchronize",
});
static_assert(std::is_sorted(kSynchronisingCalls.begin(), kSynchronisingCalls.end()));

// "cuMemcpyDtoH_v2_ptds", "cudaMemcpy_ptds_v7000": the function's version, and whether it uses a
// default stream per thread.
std::string_view without_suffixes(std::string_view function) {
  constexpr std::string_view kVersion = "_v";
  constexpr std::string_view kDigits = "0123456789";
  while (true) {
    const std::size_t last = function.rfind('_');
    const std::string_view suffix =
        last == std::string_view::npos ? std::string_view() : function.substr(last);
    const bool is_version = suffix.starts_with(kVersion) && suffix.size() > kVersion.size() &&
                            suffix.find_first_not_of(kDigits, kVersion.size()) == suffix.npos;
    if (!is_version && suffix != "_ptds" && suffix != "_ptsz") {
      return function;
    }
    function.remove_suffix(suffix.size());
  }
}

}  // namespace

std::optional<std::string_view> synchronising_call(std::string_view function) {
  const std::string_view name = without_suffixes(function);
  const auto* found =
      std::lower_bound(kSynchronisingCalls.begin(), kSynchronisingCalls.end(), name);
  if (found == kSynchronisingCalls.end() || *found != name) {
    return std::nullopt;
  }
  return *found;
}

}  // namespace penstock::gpu
