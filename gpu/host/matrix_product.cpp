#include "gpu/host/matrix_product.h"

#include <cblas.h>

namespace penstock::gpu {

void multiply_by_transpose(std::int64_t rows,
                           std::int64_t columns,
                           std::int64_t depth,
                           const float* left,
                           const float* right,
                           float* product) {
  openblas_set_num_threads(1);  // of the whole process, in which nothing else uses OpenBLAS
  cblas_sgemm(CblasRowMajor,
              CblasNoTrans,
              CblasTrans,
              static_cast<blasint>(rows),
              static_cast<blasint>(columns),
              static_cast<blasint>(depth),
              1.0F,
              left,
              static_cast<blasint>(depth),
              right,
              static_cast<blasint>(depth),
              0.0F,
              product,
              static_cast<blasint>(columns));
}

}  // namespace penstock::gpu
