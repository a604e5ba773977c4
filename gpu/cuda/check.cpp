#include "gpu/cuda/check.h"

namespace penstock::gpu {

void check(cudaError_t code, const char* call, std::source_location where) {
  if (code == cudaSuccess) {
    return;
  }
  cudaGetLastError();  // what can be cleared is not to be seen by the next call
  throw CudaError(std::string(call) + " failed: " + cudaGetErrorName(code) + " (" +
                  cudaGetErrorString(code) + "), at " + where.file_name() + ":" +
                  std::to_string(where.line()));
}

}  // namespace penstock::gpu
