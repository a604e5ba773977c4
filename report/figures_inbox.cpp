#include "report/figures_inbox.h"

#include <utility>

#include "pipeline/span.h"

namespace penstock {

void FiguresInbox::add(std::string_view sink,
                       std::int64_t num_batches,
                       const std::vector<Result>& figures) noexcept {
  const std::lock_guard lock(mutex_);
  if (sink_.empty()) {
    sink_ = sink;
  }
  if (sink == sink_) {
    waiting_.push_back({num_batches, now_ns(), figures});
  }
}

std::vector<ToldFigures> FiguresInbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiting_, {});
}

}  // namespace penstock
