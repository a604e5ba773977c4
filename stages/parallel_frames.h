#pragma once

#include <cstdint>
#include <memory>

#include "pipeline/metrics.h"
#include "stages/decompressor.h"

namespace penstock {

// Wraps the decompressor of a zstd shard, which stands at the shard's beginning: whole frames are
// decompressed by up to `width` threads of the caller's arena, and their text is given in order.
// For that it holds back up to 4 MiB of the shard as stored, and 16 MiB of text, for each of at
// most eight threads. Frames that are larger, damaged or otherwise unusual are left to the wrapped
// decompressor, which sees the same steps as without this, so the text and the errors are the same.
// `row` counts the time of the threads that help, and has the width `row_width` from the first ones
// on; it outlives the result.
std::unique_ptr<Decompressor> decompress_frames_in_parallel(
    std::unique_ptr<Decompressor> decompressor,
    std::int64_t max_window,
    int width,
    StageMetrics& row,
    int row_width);

}  // namespace penstock
