#include "pipeline/sink.h"

#include <utility>

namespace penstock {

Completion::~Completion() {
  if (callback_) {
    fail(std::make_exception_ptr(DroppedBatch()));
  }
}

void Completion::done() {
  std::exchange(callback_, nullptr)(nullptr);
}

void Completion::fail(std::exception_ptr error) {
  std::exchange(callback_, nullptr)(std::move(error));
}

}  // namespace penstock
