#include "gpu/host/matrix_product.h"

#include <algorithm>
#include <mutex>

#include <cblas.h>

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

// OpenBLAS uses the calling thread alone: of the whole process, in which nothing else uses it.
// Built without threads it shares buffers between callers without a lock, and now and then gives
// wrong products; then they come one at a time.
std::unique_lock<std::mutex> enter_blas() {
  static const bool has_threads = [] {
    openblas_set_num_threads(1);
    return openblas_get_parallel() != OPENBLAS_SEQUENTIAL;
  }();
  static std::mutex mutex;
  return has_threads ? std::unique_lock(mutex, std::defer_lock) : std::unique_lock(mutex);
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
  const std::unique_lock lock = enter_blas();
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

void multiply(std::int64_t rows,
              std::int64_t columns,
              std::int64_t depth,
              const Factor& left,
              const Factor& right,
              const Product& product) {
  const std::unique_lock lock = enter_blas();
  cblas_sgemm(CblasRowMajor,
              transposition(left),
              transposition(right),
              static_cast<blasint>(rows),
              static_cast<blasint>(columns),
              static_cast<blasint>(depth),
              1.0F,
              left.elements,
              static_cast<blasint>(left.stride),
              right.elements,
              static_cast<blasint>(right.stride),
              product.adds ? 1.0F : 0.0F,
              product.elements,
              static_cast<blasint>(product.stride));
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
