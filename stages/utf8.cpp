#include "stages/utf8.h"

#include <cstddef>
#include <cstdint>

#include <simdjson.h>

#include "pipeline/utf8.h"

namespace penstock {
namespace {

std::string hexadecimal(char byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  const auto value = static_cast<std::uint8_t>(byte);
  return {'0', 'x', kDigits[value >> 4], kDigits[value & 0xf]};
}

}  // namespace

std::optional<std::string> utf8_error(std::string_view record) {
  if (simdjson::validate_utf8(record.data(), record.size())) {
    return std::nullopt;
  }
  std::size_t at = 0;
  while (const std::size_t length = first_utf8_character(record.substr(at)).length) {
    at += length;
  }
  return "invalid UTF-8 at byte " + std::to_string(at) + " of the record (" +
         hexadecimal(record[at]) + ")";
}

}  // namespace penstock
