#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

#include <cuda_runtime_api.h>

namespace penstock::gpu {

// A CUDA call failed; what() names the call, where it stands, and CUDA's name and words for it.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Every CUDA call goes through this: check(cudaMalloc(&p, n), "cudaMalloc").
void check(cudaError_t code,
           const char* call,
           std::source_location where = std::source_location::current());

}  // namespace penstock::gpu
