#pragma once

#include <cstdint>

#include "gpu/host/parallel_blocks.h"

namespace penstock::gpu {

// product [rows, columns] = left [rows, depth] * the transpose of right [columns, depth], all
// row-major, in fp32. Runs on the calling thread alone: the sums depend on no number of threads,
// and nothing competes with the pipeline's threads.
void multiply_by_transpose(std::int64_t rows,
                           std::int64_t columns,
                           std::int64_t depth,
                           const float* left,
                           const float* right,
                           float* product);

// A factor of a product: a row-major matrix with `stride` elements from a row to the next, or the
// transpose of one.
struct Factor {
  const float* elements = nullptr;
  std::int64_t stride = 0;
  bool is_transposed = false;
};

// Where a product goes, row-major.
struct Product {
  float* elements = nullptr;
  std::int64_t stride = 0;
  bool adds = false;  // to what stands there
};

// product [rows, columns] = left [rows, depth] * right [depth, columns] in fp32, on the calling
// thread.
void multiply(std::int64_t rows,
              std::int64_t columns,
              std::int64_t depth,
              const Factor& left,
              const Factor& right,
              const Product& product);

// The same in blocks of rows and columns that are computed in parallel; the sums depend on no
// number of threads.
void multiply_in_parallel(const ParallelBlocks& parallel,
                          std::int64_t rows,
                          std::int64_t columns,
                          std::int64_t depth,
                          const Factor& left,
                          const Factor& right,
                          const Product& product);

}  // namespace penstock::gpu
