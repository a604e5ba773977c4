#include "pipeline/metrics.h"

namespace penstock {
namespace {

// Counts threads from 0 in the order in which they first ask.
std::int64_t number_of_this_thread() {
  static std::atomic<std::int64_t> next{0};
  thread_local const std::int64_t number = next++;
  return number;
}

}  // namespace

void BusyClock::pass_on(std::int64_t begin_ns, std::int64_t end_ns) const noexcept {
  Span span;
  span.name = *name_;
  span.track = number_of_this_thread();
  if (thread_ == TimedThread::kOfStage) {
    span.track_name = *name_;
  }
  span.begin_ns = begin_ns;
  span.end_ns = end_ns;
  listeners_->pass_on(span);
}

std::string quoted_name(const std::string& name, const std::string& plugin) {
  return "'" + name + "'" + (plugin.empty() ? "" : " (plug-in " + plugin + ")");
}

std::string quoted_name(const StageMetrics& row) {
  return quoted_name(row.name, row.plugin);
}

}  // namespace penstock
