#include "apps/status_line.h"

#include "apps/standard_streams.h"

namespace penstock {

void StatusLine::show(const std::string& text) {
  if (standard_error_is_terminal()) {
    write_standard_error('\r' + std::string(columns_, ' ') + '\r' + text);
    columns_ = text.size();
  }
}

}  // namespace penstock
