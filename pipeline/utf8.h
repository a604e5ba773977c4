#pragma once

#include <cstddef>
#include <string_view>

namespace penstock {

// One decoded character.
struct Utf8Character {
  char32_t code_point = 0;  // means nothing where length is 0
  std::size_t length = 0;   // in bytes; 0 says that they are not valid UTF-8
};

// The character at the front of `text`, which is not empty. Overlong forms, surrogates and what is
// beyond U+10FFFF are not valid.
Utf8Character first_utf8_character(std::string_view text);

bool is_utf8(std::string_view text);

}  // namespace penstock
