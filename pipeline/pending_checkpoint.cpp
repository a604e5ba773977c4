#include "pipeline/pending_checkpoint.h"

#include <stdexcept>

namespace penstock {

PendingCheckpoint::PendingCheckpoint(StreamPosition position, std::size_t num_parts, Ready ready)
    : content_{std::move(position), {}}, outstanding_(num_parts + 1), ready_(std::move(ready)) {}

void PendingCheckpoint::add(std::string label, CheckpointPart part) {
  std::unique_lock lock(mutex_);
  content_.parts.emplace_back(std::move(label), std::move(part));
  finish_one(std::move(lock));
}

void PendingCheckpoint::complete_batch() {
  finish_one(std::unique_lock(mutex_));
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
