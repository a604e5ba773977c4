#include "report/device_clock.h"

#include <algorithm>
#include <limits>

namespace penstock {

void DeviceClock::add(const Span& span) noexcept {
  if (span.device.empty() || span.track_name != "compute stream" || span.name == "copy to host") {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (device_.empty()) {
    device_ = span.device;
    reading_.end_ns = span.begin_ns;
  }
  if (span.device == device_ && span.end_ns > reading_.end_ns) {
    reading_.busy_ns += span.end_ns - std::max(span.begin_ns, reading_.end_ns);
    reading_.end_ns = span.end_ns;
  }
}

DeviceClock::Reading DeviceClock::read() const {
  const std::lock_guard lock(mutex_);
  return reading_;
}

double DeviceClock::busy_share(const Reading& begin, const Reading& end) {
  if (begin.end_ns == 0 || end.end_ns <= begin.end_ns) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return static_cast<double>(end.busy_ns - begin.busy_ns) /
         static_cast<double>(end.end_ns - begin.end_ns);
}

}  // namespace penstock
