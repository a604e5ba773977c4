#include "apps/utc_time.h"

#include <ctime>

namespace penstock {

std::string utc_time(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm calendar{};
  gmtime_r(&seconds, &calendar);
  char text[sizeof "2025-01-31T12:34:56Z"] = {};
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &calendar);
  return text;
}

}  // namespace penstock
