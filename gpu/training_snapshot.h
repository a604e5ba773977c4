#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gpu/transformer.h"

namespace penstock::gpu {

// All that training goes on from, in host memory. Arrays are in the layout for a row_step of 1.
struct TrainingSnapshot {
  TransformerShape shape;
  std::vector<float> parameters;
  std::vector<float> first_moment;  // of AdamW, as is the second one
  std::vector<float> second_moment;
  std::vector<float> gradient;       // of the sum of the losses since the last step
  std::int64_t gradient_scored = 0;  // how many losses; with none the gradient is 0
  std::int64_t num_batches = 0;      // since training began, as are these
  std::int64_t num_tokens = 0;
  std::int64_t bad_batch = -1;  // as in TrainingTotals: behind it there is nothing to go on from
  std::int64_t accumulate = 1;  // batches of a step; of LmTrain: trainers do not know it
};

// A snapshot that is on its way to the host. Owns all that it needs: any thread may use it, and
// after the trainer is gone.
class PendingSnapshot {
 public:
  PendingSnapshot() = default;
  PendingSnapshot(const PendingSnapshot&) = delete;
  PendingSnapshot& operator=(const PendingSnapshot&) = delete;
  virtual ~PendingSnapshot() = default;

  // Waits until it has arrived.
  virtual TrainingSnapshot wait() = 0;
};

// Writes all but the parameters as a safetensors file: first_moment.NAME, second_moment.NAME and,
// between steps, gradient.NAME of every tensor in F32; gradient_scored, num_batches, num_tokens and
// accumulate in the metadata. Throws FileError.
void write_optimizer_state(const TrainingSnapshot& snapshot, const std::string& path);

// Reads it into a snapshot whose shape is known. Throws std::runtime_error naming the file and what
// is wrong.
void read_optimizer_state(const std::string& path, TrainingSnapshot& snapshot);

}  // namespace penstock::gpu
