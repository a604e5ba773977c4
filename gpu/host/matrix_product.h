#pragma once

#include <cstdint>

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

}  // namespace penstock::gpu
