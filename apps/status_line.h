#pragma once

#include <cstddef>
#include <string>

namespace penstock {

// Says what is being done, where standard error is a terminal: on one line, which is empty at the
// end.
class StatusLine {
 public:
  StatusLine() = default;
  ~StatusLine() { show(""); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  void show(const std::string& text);

 private:
  std::size_t columns_ = 0;
};

}  // namespace penstock
