#include "gpu/host/host_feeder.h"

namespace penstock::gpu {

HostFeeder::HostFeeder(std::unique_ptr<DeviceStage> stage, StageMetrics& metrics)
    : stage_(std::move(stage)),
      metrics_(metrics),
      device_thread_([this] { run_device_thread(); }) {}

HostFeeder::~HostFeeder() {
  cancel();
  stop_device_thread();
}

void HostFeeder::consume(std::shared_ptr<const Batch> batch, Completion done) {
  stage_->hand_over(*batch);
  {
    const std::lock_guard lock(mutex_);
    if (error_) {
      std::rethrow_exception(error_);
    }
    if (closed_) {
      return;  // cancelled: the batch is dropped
    }
    queue_.emplace_back(std::move(batch), std::move(done));
  }
  changed_.notify_one();
}

void HostFeeder::finish() {
  stop_device_thread();
  if (error_) {
    std::rethrow_exception(error_);
  }
  results_ = stage_->results();
}

void HostFeeder::cancel() {
  std::deque<Waiting> dropped;  // destroyed without the lock: completions call back
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(queue_);
  }
  changed_.notify_one();
}

void HostFeeder::stop_device_thread() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
  if (device_thread_.joinable()) {
    device_thread_.join();
  }
}

void HostFeeder::run_device_thread() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) {
      return;
    }
    Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    process(std::move(waiting));
  }
}

void HostFeeder::process(Waiting waiting) {
  const BusyTimer timer(metrics_.busy_ns);
  auto& [batch, done] = waiting;
  slot_.tokens.assign(batch->tokens.begin(), batch->tokens.end());
  slot_.cu_seqlens.assign(batch->cu_seqlens.begin(), batch->cu_seqlens.end());
  const DeviceBatch arrived{batch->index,
                            batch->batch_size,
                            batch->row_length,
                            batch->num_tokens,
                            slot_.tokens.data(),
                            slot_.cu_seqlens.data(),
                            std::ssize(slot_.cu_seqlens) - 1};
  batch.reset();
  done.done();
  try {
    stage_->enqueue(arrived);
  } catch (...) {
    // The batch is complete, so the next consume(), or finish(), tells.
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
  }
}

}  // namespace penstock::gpu
