#include "gpu/training_memory.h"

#include <stdexcept>

#include "pipeline/option.h"

namespace penstock::gpu {

void check_training_memory(const TrainingMemory& needed,
                           std::int64_t available,
                           std::int64_t rows,
                           const std::string& place,
                           const std::string& otherwise) {
  const std::int64_t in_all = needed.for_model + needed.for_row * rows;
  if (in_all <= available) {
    return;
  }
  const std::int64_t fitting = (available - needed.for_model) / needed.for_row;
  throw std::runtime_error(
      "lm_train needs " + format_bytes(in_all) + " of memory " + place + " for batches of " +
      std::to_string(rows) + " rows, and " + format_bytes(available) + " are free: " +
      (fitting > 0
           ? "lower batch_size to " + std::to_string(fitting) + " or less, and raise accumulate"
           : std::string("take a smaller model or a smaller tile")) +
      otherwise);
}

}  // namespace penstock::gpu
