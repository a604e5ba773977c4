#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "pipeline/pending_checkpoint.h"
#include "pipeline/stream_position.h"

namespace penstock {

// Says behind which batches of a run a checkpoint is made, and takes the checkpoints.
class CheckpointSchedule {
 public:
  CheckpointSchedule() = default;
  CheckpointSchedule(const CheckpointSchedule&) = delete;
  CheckpointSchedule& operator=(const CheckpointSchedule&) = delete;
  virtual ~CheckpointSchedule() = default;

  // Asked once for each batch, in stream order, by one thread at a time.
  virtual bool is_due(std::int64_t batch_index) = 0;
  // For a batch where is_due() was true; by the same thread.
  virtual std::shared_ptr<PendingCheckpoint> begin(StreamPosition position,
                                                   std::size_t num_parts) = 0;
};

}  // namespace penstock
