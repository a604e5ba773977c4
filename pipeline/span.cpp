#include "pipeline/span.h"

#include <mutex>
#include <utility>

namespace penstock {

void SpanListeners::add(std::shared_ptr<SpanListener> listener) {
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
  is_empty_ = false;
}

void SpanListeners::pass_on(const Span& span) const noexcept {
  const std::shared_lock lock(mutex_);
  for (const std::shared_ptr<SpanListener>& listener : listeners_) {
    listener->add(span);
  }
}

}  // namespace penstock
