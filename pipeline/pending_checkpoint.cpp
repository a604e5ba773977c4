#include "pipeline/pending_checkpoint.h"

#include <stdexcept>

namespace penstock {

PendingCheckpoint::PendingCheckpoint(StreamPosition position,
                                     std::size_t num_parts,
                                     Ready ready,
                                     Wanted wanted)
    : content_{std::move(position), {}},
      outstanding_(num_parts + 1),
      ready_(std::move(ready)),
      wanted_(std::move(wanted)) {}

bool PendingCheckpoint::is_wanted() {
  const std::lock_guard lock(mutex_);
  return decide();
}

bool PendingCheckpoint::decide() {
  if (!is_wanted_) {
    is_wanted_ = !wanted_ || wanted_();
  }
  return *is_wanted_;
}

void PendingCheckpoint::add(std::string label, CheckpointPart part) {
  std::unique_lock lock(mutex_);
  content_.parts.emplace_back(std::move(label), std::move(part));
  finish_one(std::move(lock));
}

void PendingCheckpoint::complete_batch() {
  std::unique_lock lock(mutex_);
  if (decide()) {
    finish_one(std::move(lock));
  }
}

void PendingCheckpoint::finish_one(std::unique_lock<std::mutex> lock) {
  if (outstanding_ == 0) {
    throw std::logic_error("more was added to a checkpoint than it waits for");
  }
  if (--outstanding_ > 0) {
    return;
  }
  Content content = std::move(content_);
  const Ready ready = std::exchange(ready_, nullptr);
  lock.unlock();  // it may be the last to refer to what holds this
  ready(std::move(content));
}

}  // namespace penstock
