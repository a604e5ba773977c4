#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace penstock {

// Calls a function again and again from a thread of its own, until it is stopped.
class PeriodicCall {
 public:
  // The first call comes after one period.
  PeriodicCall(std::chrono::milliseconds period, std::function<void()> call);
  // stop().
  ~PeriodicCall();
  PeriodicCall(const PeriodicCall&) = delete;
  PeriodicCall& operator=(const PeriodicCall&) = delete;

  // Returns when the last call is over, without waiting for the period to pass. One thread at a
  // time, and not from the call itself.
  void stop();

 private:
  void repeat();

  const std::chrono::milliseconds period_;
  const std::function<void()> call_;

  std::mutex mutex_;
  std::condition_variable stopping_changed_;
  bool stopping_ = false;  // protected by mutex_

  std::thread thread_;
};

}  // namespace penstock
