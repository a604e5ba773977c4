#include "gpu/cuda/blas.h"

#include <string>

#include "gpu/cuda/check.h"

namespace penstock::gpu {
namespace {

void check(cublasStatus_t status,
           const char* call,
           std::source_location where = std::source_location::current()) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw CudaError(std::string(call) + " failed: " + cublasGetStatusName(status) + " (" +
                    cublasGetStatusString(status) + "), at " + where.file_name() + ":" +
                    std::to_string(where.line()));
  }
}

}  // namespace

Blas::Blas() {
  cublasHandle_t handle = nullptr;
  check(cublasCreate(&handle), "cublasCreate");
  handle_.reset(handle);
}

void Blas::use(cudaStream_t stream) {
  if (stream == stream_) {
    return;
  }
  check(cublasSetStream(handle_.get(), stream), "cublasSetStream");
  // A new stream comes with a workspace of the library's. The products here are large enough to
  // need none, and with one cuBLAS takes kernels that clear a part of it before each product.
  check(cublasSetWorkspace(handle_.get(), nullptr, 0), "cublasSetWorkspace");
  stream_ = stream;
}

void Blas::multiply(const MatrixProduct& matrices, cudaStream_t stream) {
  use(stream);
  const float one = 1;
  const float zero = 0;
  // To cuBLAS, whose matrices are column-major, each of these is its transpose.
  check(cublasGemmEx_64(handle_.get(),
                        CUBLAS_OP_T,
                        CUBLAS_OP_N,
                        matrices.columns,
                        matrices.rows,
                        matrices.depth,
                        &one,
                        matrices.right,
                        CUDA_R_16BF,
                        matrices.depth,
                        matrices.left,
                        CUDA_R_16BF,
                        matrices.depth,
                        &zero,
                        matrices.product,
                        CUDA_R_32F,
                        matrices.product_stride,
                        CUBLAS_COMPUTE_32F,
                        CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
}

}  // namespace penstock::gpu
