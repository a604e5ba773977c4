#pragma once

#include <stdexcept>

namespace penstock {

// Says of what in a model a fast engine cannot prove that it does what the library does; what() is
// the reason, without a final stop.
class ModelRefused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace penstock
