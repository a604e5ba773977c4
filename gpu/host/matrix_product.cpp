#include "gpu/host/matrix_product.h"

#include <algorithm>

#include <blis.h>

namespace penstock::gpu {
namespace {

// Of a block of a product.
constexpr std::int64_t kBlockRows = 128;
constexpr std::int64_t kBlockColumns = 256;

// The factor from this row and column on.
Factor from(const Factor& factor, std::int64_t row, std::int64_t column) {
  const std::int64_t offset =
      factor.is_transposed ? column * factor.stride + row : row * factor.stride + column;
  return {factor.elements + offset, factor.stride, factor.is_transposed};
}

// BLIS uses the calling thread alone, whichever flavour of it there is: those for OpenMP and
// pthreads would listen to the environment. Newer versions keep the number for each calling thread.
void use_one_thread() {
  thread_local const bool is_done = [] {
    bli_thread_set_num_threads(1);
    return true;
  }();
  static_cast<void>(is_done);
}

CBLAS_TRANSPOSE transposition(const Factor& factor) {
  return factor.is_transposed ? CblasTrans : CblasNoTrans;
}

}  // namespace

void multiply_by_transpose(std::int64_t rows,
                           std::int64_t columns,
                           std::int64_t depth,
                           const float* left,
                           const float* right,
                           float* product) {
  use_one_thread();
  cblas_sgemm(CblasRowMajor,
              CblasNoTrans,
              CblasTrans,
              static_cast<f77_int>(rows),
              static_cast<f77_int>(columns),
              static_cast<f77_int>(depth),
              1.0F,
              left,
              static_cast<f77_int>(depth),
              right,
              static_cast<f77_int>(depth),
              0.0F,
              product,
              static_cast<f77_int>(columns));
}

void multiply(std::int64_t rows,
              std::int64_t columns,
              std::int64_t depth,
              const Factor& left,
              const Factor& right,
              const Product& product) {
  use_one_thread();
  cblas_sgemm(CblasRowMajor,
              transposition(left),
              transposition(right),
              static_cast<f77_int>(rows),
              static_cast<f77_int>(columns),
              static_cast<f77_int>(depth),
              1.0F,
              left.elements,
              static_cast<f77_int>(left.stride),
              right.elements,
              static_cast<f77_int>(right.stride),
              product.adds ? 1.0F : 0.0F,
              product.elements,
              static_cast<f77_int>(product.stride));
}

void multiply_in_parallel(const ParallelBlocks& parallel,
                          std::int64_t rows,
                          std::int64_t columns,
                          std::int64_t depth,
                          const Factor& left,
                          const Factor& right,
                          const Product& product) {
  const std::int64_t blocks_across = (columns + kBlockColumns - 1) / kBlockColumns;
  const std::int64_t blocks_down = (rows + kBlockRows - 1) / kBlockRows;
  parallel.run(blocks_down * blocks_across, 1, [&](std::int64_t block, std::int64_t) {
    const std::int64_t row = block / blocks_across * kBlockRows;
    const std::int64_t column = block % blocks_across * kBlockColumns;
    multiply(std::min(kBlockRows, rows - row),
             std::min(kBlockColumns, columns - column),
             depth,
             from(left, row, 0),
             from(right, 0, column),
             {product.elements + row * product.stride + column, product.stride, product.adds});
  });
}

}  // namespace penstock::gpu
