#include "pipeline/sink.h"

#include <utility>

namespace penstock {

Completion::~Completion() {
  if (callback_) {
    fail(std::make_exception_ptr(DroppedBatch()));
  }
}

void Completion::done() {
  take()(nullptr);
}

void Completion::fail(std::exception_ptr error) {
  take()(std::move(error));
}

Completion::Callback Completion::take() {
  if (!callback_) {
    throw std::logic_error("a batch was completed twice");
  }
  return std::exchange(callback_, nullptr);
}

}  // namespace penstock
