#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "pipeline/pending_checkpoint.h"
#include "pipeline/stream_position.h"

namespace penstock {

// What became of a run's checkpoints.
struct CheckpointCounts {
  std::int64_t written = 0;   // whole and on disk
  std::int64_t failed = 0;    // could not be written
  std::int64_t left_out = 0;  // due while the one before was not written yet
  std::string last;           // path of the last one that was written
  std::string last_error;     // why the last one that failed did
};

// Says behind which batches of a run a checkpoint is made, and takes the checkpoints.
class CheckpointSchedule {
 public:
  CheckpointSchedule() = default;
  CheckpointSchedule(const CheckpointSchedule&) = delete;
  CheckpointSchedule& operator=(const CheckpointSchedule&) = delete;
  virtual ~CheckpointSchedule() = default;

  // Asked once for each batch, in stream order, by one thread at a time.
  virtual bool is_due(std::int64_t batch_index) = 0;
  // For a batch where is_due() was true; by the same thread. Batches may wait for a slow sink in
  // thousands: what is due is not all made (PendingCheckpoint::is_wanted()). May be null: then none
  // is made.
  virtual std::shared_ptr<PendingCheckpoint> begin(StreamPosition position,
                                                   std::size_t num_parts) = 0;
  // The run is over, whatever ended it: returns when every checkpoint that is ready is written.
  virtual void finish() {}
  // Any thread, at any time.
  virtual CheckpointCounts counts() const { return {}; }
};

}  // namespace penstock
