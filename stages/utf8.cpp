#include "stages/utf8.h"

#include <cstddef>
#include <cstdint>

#include <simdjson.h>

namespace penstock {
namespace {

// What may follow a lead byte: how many bytes in all, and the range of the second one. The further
// ones are 0x80 to 0xbf. Source: The Unicode Standard 15.0, table 3-7.
struct Sequence {
  std::size_t length = 0;  // 0: not a lead byte
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xbf;
};

Sequence sequence_of(std::uint8_t lead) {
  if (lead < 0x80) {
    return {1};
  }
  if (lead >= 0xc2 && lead <= 0xdf) {
    return {2};
  }
  if (lead >= 0xe0 && lead <= 0xef) {
    return {3,
            static_cast<std::uint8_t>(lead == 0xe0 ? 0xa0 : 0x80),
            static_cast<std::uint8_t>(lead == 0xed ? 0x9f : 0xbf)};
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    return {4,
            static_cast<std::uint8_t>(lead == 0xf0 ? 0x90 : 0x80),
            static_cast<std::uint8_t>(lead == 0xf4 ? 0x8f : 0xbf)};
  }
  return {0};
}

// Length of the valid sequence that `bytes` begins with, 0 where there is none.
std::size_t valid_length(std::string_view bytes) {
  const Sequence sequence = sequence_of(static_cast<std::uint8_t>(bytes[0]));
  if (sequence.length > bytes.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < sequence.length; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    const bool second = i == 1;
    if (byte < (second ? sequence.second_min : 0x80) ||
        byte > (second ? sequence.second_max : 0xbf)) {
      return 0;
    }
  }
  return sequence.length;
}

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
  while (const std::size_t length = valid_length(record.substr(at))) {
    at += length;
  }
  return "invalid UTF-8 at byte " + std::to_string(at) + " of the record (" +
         hexadecimal(record[at]) + ")";
}

}  // namespace penstock
