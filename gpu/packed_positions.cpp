#include "gpu/packed_positions.h"

#include <cstddef>
#include <utility>

namespace penstock::gpu {
namespace {

class Filling {
 public:
  Filling(const DeviceBatch& batch, std::int64_t vocabulary)
      : batch_(batch), vocabulary_(vocabulary) {
    const auto size = static_cast<std::size_t>(batch.shape.positions());
    positions_.tokens.assign(size, 0);
    positions_.targets.assign(size, kNoTarget);
    positions_.begins.resize(size);
    positions_.ends.resize(size);
  }

  PackedPositions run() {
    for (std::int64_t segment = 0; segment < batch_.num_segments; ++segment) {
      const std::int32_t begin = batch_.cu_seqlens[segment];
      const std::int32_t end = batch_.cu_seqlens[segment + 1];
      for (std::int32_t position = begin; position < end; ++position) {
        positions_.begins[static_cast<std::size_t>(position)] = begin;
        positions_.ends[static_cast<std::size_t>(position)] = end;
        fill(position, end);
      }
    }
    return std::move(positions_);
  }

 private:
  void fill(std::int64_t position, std::int64_t segment_end) {
    const BatchShape& shape = batch_.shape;
    const std::int64_t row = position / shape.sequence_length;
    const std::int64_t column = position % shape.sequence_length;
    const TokenId* cell = batch_.tokens + row * shape.row_length + column;
    const std::int64_t row_tokens = batch_.row_tokens[row];
    if (column >= row_tokens) {
      return;
    }
    const auto at = static_cast<std::size_t>(position);
    ++positions_.num_tokens;
    if (*cell < vocabulary_) {
      positions_.tokens[at] = *cell;
    } else {
      ++positions_.num_unknown;
    }
    const bool is_last_of_row = column + 1 == shape.sequence_length;
    if (column + 1 == row_tokens || (!is_last_of_row && position + 1 == segment_end)) {
      return;
    }
    if (cell[1] < vocabulary_) {
      positions_.targets[at] = static_cast<std::int32_t>(cell[1]);
      ++positions_.num_scored;
    } else if (is_last_of_row) {
      ++positions_.num_unknown;  // others are inputs too, and counted there
    }
  }

  const DeviceBatch& batch_;
  const std::int64_t vocabulary_;
  PackedPositions positions_;
};

}  // namespace

PackedPositions packed_positions(const DeviceBatch& batch, std::int64_t vocabulary) {
  return Filling(batch, vocabulary).run();
}

}  // namespace penstock::gpu
