#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/stream_position.h"

namespace penstock {

// Writes what one sink adds to a checkpoint, as files in `folder`, which is there and its own.
// Called once, by a thread of its own, while the run goes on and even when the sink is gone: it
// owns what it writes. Need not sync files. Throws where it cannot.
using CheckpointPart = std::function<void(const std::string& folder)>;

// A checkpoint that is due behind a batch. It is ready when every sink is finished with the batch
// and every sink that has a state (Sink::saves()) has added its part; a run that ends before leaves
// it unwritten. Any thread.
class PendingCheckpoint {
 public:
  // What is to be written.
  struct Content {
    StreamPosition position;  // behind the batch
    // With the label of the sink that each is of.
    std::vector<std::pair<std::string, CheckpointPart>> parts;
  };
  // Called once, by whoever makes the checkpoint ready.
  using Ready = std::function<void(Content)>;
  // Called once, by whoever asks first, which is when a sink has come to the batch: whether the
  // checkpoint is made at all.
  using Wanted = std::function<bool()>;

  // `num_parts`: how many sinks add a part. Without `wanted` it is made.
  PendingCheckpoint(StreamPosition position,
                    std::size_t num_parts,
                    Ready ready,
                    Wanted wanted = nullptr);

  // Whether it is made: the same for every sink. One that has a state asks before it saves it.
  bool is_wanted();

  // The state of the sink `label` as it is right behind the batch.
  void add(std::string label, CheckpointPart part);
  // Every sink is finished with the batch.
  void complete_batch();

 private:
  bool decide();  // with the lock
  void finish_one(std::unique_lock<std::mutex> lock);

  std::mutex mutex_;
  // Protected by mutex_.
  Content content_;
  std::size_t outstanding_;  // parts, and the batch
  Ready ready_;
  Wanted wanted_;
  std::optional<bool> is_wanted_;  // once it is decided
};

}  // namespace penstock
