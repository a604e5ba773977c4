#include "gpu/row_tokens.h"

#include <algorithm>
#include <cstddef>

namespace penstock::gpu {

void count_row_tokens(const Batch& batch, std::span<std::int32_t> row_tokens) {
  std::fill(row_tokens.begin(), row_tokens.end(), 0);
  for (const Segment& segment : batch.segments) {
    const auto row = static_cast<std::size_t>(segment.begin / batch.row_length);
    row_tokens[row] += static_cast<std::int32_t>(segment.end - segment.begin);
  }
}

}  // namespace penstock::gpu
