#pragma once

#include <cstdint>
#include <string>

namespace penstock::gpu {

// What training takes of a memory, in bytes.
struct TrainingMemory {
  std::int64_t for_model = 0;  // whatever the batches
  std::int64_t for_row = 0;    // of a batch
};

// Throws std::runtime_error where batches of `rows` rows need more than is available: how much they
// need, and the batch_size that fits, if any does. `place` is whose memory it is, such as "on the
// CPU"; `otherwise` what else helps. Pieces that are allocated one by one would run out at one that
// says little.
void check_training_memory(const TrainingMemory& needed,
                           std::int64_t available,
                           std::int64_t rows,
                           const std::string& place,
                           const std::string& otherwise);

}  // namespace penstock::gpu
