#include "gpu/training_memory.h"

#include <iomanip>
#include <sstream>
#include <stdexcept>

namespace penstock::gpu {
namespace {

std::string in_gibibytes(std::int64_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / (1 << 30) << " GiB";
  return text.str();
}

}  // namespace

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
      "lm_train needs " + in_gibibytes(in_all) + " of memory " + place + " for batches of " +
      std::to_string(rows) + " rows, and " + in_gibibytes(available) + " are free: " +
      (fitting > 0
           ? "lower batch_size to " + std::to_string(fitting) + " or less, and raise accumulate"
           : std::string("take a smaller model or a smaller tile")) +
      otherwise);
}

}  // namespace penstock::gpu
