#include "report/json_text.h"

#include <array>
#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>

namespace penstock {

std::string json_number(double value) {
  if (!std::isfinite(value)) {
    return "null";
  }
  constexpr double kWholeNumbers = 9007199254740992;  // up to 2^53 without a gap
  constexpr int kDigits = 9;                          // as many as a float has
  std::array<char, 32> text{};
  char* const begin = text.data();
  char* const end = begin + text.size();
  const bool is_whole = std::abs(value) < kWholeNumbers && value == std::trunc(value);
  const auto result = is_whole
                          ? std::to_chars(begin, end, static_cast<long long>(value))
                          : std::to_chars(begin, end, value, std::chars_format::general, kDigits);
  return {begin, result.ptr};
}

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

bool is_json(std::string_view text) {
  return nlohmann::json::accept(text);
}

}  // namespace penstock
