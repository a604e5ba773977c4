#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string_view>
#include <vector>

namespace penstock {

// Nanoseconds of std::chrono::steady_clock: the time of every span.
inline std::int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// A stretch of time in which something worked. Valid while it is passed on.
struct Span {
  std::string_view name;        // what worked: a row of Metrics, or a kernel or copy of a device
  std::string_view device;      // "cuda:0"; empty for the threads of this process
  std::int64_t track = 0;       // the thread or the device's stream; unique within `device`
  std::string_view track_name;  // empty: one of the pipeline's threads
  // See now_ns().
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};

// Hears of every span of a run, as soon as it is over (a device's: a little later). Any thread; in
// no order.
class SpanListener {
 public:
  SpanListener() = default;
  SpanListener(const SpanListener&) = delete;
  SpanListener& operator=(const SpanListener&) = delete;
  virtual ~SpanListener() = default;

  // The span is valid during the call.
  virtual void add(const Span& span) noexcept = 0;
};

// Those who listen. Any thread; a listener is kept as long as the others.
class SpanListeners {
 public:
  // Hears of every span from now on.
  void add(std::shared_ptr<SpanListener> listener);
  // Whether nobody listens, so that no span needs to be made.
  bool is_empty() const { return is_empty_.load(std::memory_order_relaxed); }
  // To all who listen.
  void pass_on(const Span& span) const noexcept;

 private:
  std::atomic<bool> is_empty_{true};
  mutable std::shared_mutex mutex_;
  std::vector<std::shared_ptr<SpanListener>> listeners_;  // protected by mutex_
};

}  // namespace penstock
