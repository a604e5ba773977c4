#pragma once

#include <cstdint>
#include <memory>
#include <source_location>
#include <type_traits>

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "gpu/lm_weights.h"

namespace penstock::gpu {

// A matrix product: product = left * transpose of right. Row-major device memory.
struct MatrixProduct {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  const Bf16* left = nullptr;       // [rows, depth]
  const Bf16* right = nullptr;      // [columns, depth]
  float* product = nullptr;         // [rows, columns], sums in fp32
  std::int64_t product_stride = 0;  // elements from one row of the product to the next
};

// The cuBLAS library on one stream at a time, without a workspace, so that nothing is allocated
// with a product. The first product of a shape may load code: warm up.
class Blas {
 public:
  Blas();
  // Enqueues the product. The matrices stay alive until it is done.
  void multiply(const MatrixProduct& matrices, cudaStream_t stream);

 private:
  struct Destroy {
    void operator()(cublasHandle_t handle) const noexcept { cublasDestroy(handle); }
  };

  void use(cudaStream_t stream);

  std::unique_ptr<std::remove_pointer_t<cublasHandle_t>, Destroy> handle_;
  cudaStream_t stream_ = nullptr;  // that the handle is set to
};

}  // namespace penstock::gpu
