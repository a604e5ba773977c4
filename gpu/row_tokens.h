#pragma once

#include <cstdint>
#include <span>

#include "pipeline/batch.h"

namespace penstock::gpu {

// Fills `row_tokens` [batch_size] with the number of cells of each row that are not padding.
void count_row_tokens(const Batch& batch, std::span<std::int32_t> row_tokens);

}  // namespace penstock::gpu
