#include "pipeline/utf8.h"

namespace penstock {
namespace {

// Length of a character by its first byte; 0 where none begins with it.
std::size_t length_by_first_byte(unsigned char first) {
  if (first < 0x80) {
    return 1;
  }
  if (first < 0xC2 || first > 0xF4) {
    return 0;
  }
  return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

// Which second bytes are valid depends on the first one. Source: The Unicode Standard 15.0, table
// 3-7.
bool is_second_byte(unsigned char first, unsigned char second) {
  const unsigned char lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned char highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  return second >= lowest && second <= highest;
}

}  // namespace

Utf8Character first_utf8_character(std::string_view text) {
  const auto byte = [text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned char first = byte(0);
  const std::size_t length = length_by_first_byte(first);
  if (length == 1) {
    return {first, 1};
  }
  if (length == 0 || text.size() < length || !is_second_byte(first, byte(1))) {
    return {};
  }
  char32_t code_point = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return {};
    }
    code_point = code_point << 6U | (byte(i) & 0x3FU);
  }
  return {code_point, length};
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = first_utf8_character(text).length;
    if (length == 0) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace penstock
