#include "pipeline/figures.h"

#include <utility>

namespace penstock {

void FiguresListeners::add(std::shared_ptr<FiguresListener> listener) {
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
}

void FiguresListeners::pass_on(std::string_view sink,
                               std::int64_t num_batches,
                               const std::vector<Result>& figures) const noexcept {
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<FiguresListener>& listener : listeners_) {
    listener->add(sink, num_batches, figures);
  }
}

}  // namespace penstock
