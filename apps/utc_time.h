#pragma once

#include <chrono>
#include <string>

namespace penstock {

// "2025-01-31T12:34:56Z"
std::string utc_time(std::chrono::system_clock::time_point time);

}  // namespace penstock
