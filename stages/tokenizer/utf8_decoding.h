#pragma once

#include <cstddef>

namespace penstock {

// Decoding of text that is known to be valid UTF-8; see pipeline/utf8.h for text that is not.

// Bytes of the character that begins with `first`.
inline std::size_t utf8_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// The character that begins at `text`.
inline char32_t decode_utf8(const char* text) {
  const auto byte = [text](std::size_t i) -> char32_t {
    return static_cast<unsigned char>(text[i]);
  };
  const auto tail = [&byte](std::size_t i) { return byte(i) & 0x3FU; };
  switch (utf8_length(*text)) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1FU) << 6U | tail(1);
    case 3:
      return (byte(0) & 0x0FU) << 12U | tail(1) << 6U | tail(2);
    default:
      return (byte(0) & 0x07U) << 18U | tail(1) << 12U | tail(2) << 6U | tail(3);
  }
}

// The character that ends before `text`.
inline char32_t decode_utf8_before(const char* text) {
  --text;
  while ((static_cast<unsigned char>(*text) & 0xC0U) == 0x80U) {
    --text;
  }
  return decode_utf8(text);
}

}  // namespace penstock
