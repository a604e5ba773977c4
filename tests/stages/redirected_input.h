#pragma once

#include <unistd.h>

namespace penstock::testing {

// Puts another file in the place of standard input while it lives. Takes the descriptor over.
class RedirectedInput {
 public:
  explicit RedirectedInput(int descriptor) : saved_(dup(STDIN_FILENO)) {
    dup2(descriptor, STDIN_FILENO);
    close(descriptor);
  }
  ~RedirectedInput() {
    dup2(saved_, STDIN_FILENO);
    close(saved_);
  }
  RedirectedInput(const RedirectedInput&) = delete;
  RedirectedInput& operator=(const RedirectedInput&) = delete;

 private:
  const int saved_;
};

}  // namespace penstock::testing
