#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "pipeline/span.h"

namespace penstock {

// Adds up how long a device computed, from what its profiler passes on: kernels of the compute
// stream, in the order of time. Of several devices the first one counts. Any thread.
class DeviceClock final : public SpanListener {
 public:
  void add(const Span& span) noexcept override;

  struct Reading {
    std::int64_t busy_ns = 0;
    std::int64_t end_ns = 0;  // of the last kernel that was heard of; 0: none
  };
  Reading read() const;

  // Share of the time between two readings for which the device computed; NaN where nothing was
  // heard of meanwhile.
  static double busy_share(const Reading& begin, const Reading& end);

 private:
  mutable std::mutex mutex_;
  // Protected by mutex_.
  std::string device_;
  Reading reading_;
};

}  // namespace penstock
