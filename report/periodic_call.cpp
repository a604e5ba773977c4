#include "report/periodic_call.h"

#include <utility>

namespace penstock {

PeriodicCall::PeriodicCall(std::chrono::milliseconds period, std::function<void()> call)
    : period_(period), call_(std::move(call)), thread_([this] { repeat(); }) {}

PeriodicCall::~PeriodicCall() {
  stop();
}

void PeriodicCall::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopping_changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void PeriodicCall::repeat() {
  std::unique_lock lock(mutex_);
  while (!stopping_changed_.wait_for(lock, period_, [this] { return stopping_; })) {
    lock.unlock();
    call_();
    lock.lock();
  }
}

}  // namespace penstock
