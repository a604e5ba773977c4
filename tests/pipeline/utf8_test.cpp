#include "pipeline/utf8.h"

#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace penstock {
namespace {

// UTF-8 by its definition, valid or not.
std::string encoded(char32_t value, std::size_t length) {
  constexpr unsigned int kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  std::string text(length, '\0');
  for (std::size_t i = length - 1; i > 0; --i) {
    text[i] = static_cast<char>(0x80U | (value & 0x3FU));
    value >>= 6U;
  }
  text[0] = static_cast<char>(kLead[length] | value);
  return text;
}

std::size_t length_of(char32_t value) {
  return value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
}

TEST(Utf8CharacterTest, DecodesEveryCodePoint) {
  for (char32_t value = 0; value <= 0x10FFFF; ++value) {
    const bool is_surrogate = value >= 0xD800 && value <= 0xDFFF;
    const std::size_t length = is_surrogate ? 0 : length_of(value);
    const Utf8Character character = first_utf8_character(encoded(value, length_of(value)) + "x");
    ASSERT_EQ(character.length, length) << static_cast<unsigned>(value);
    ASSERT_EQ(character.code_point, is_surrogate ? 0 : value);
  }
}

TEST(Utf8CharacterTest, RefusesOverlongFormsAndWhatIsTooLarge) {
  for (const auto& [value, length] : {std::pair<char32_t, std::size_t>(0x7F, 2),
                                      {0x7FF, 3},
                                      {0xFFFF, 4},
                                      {0x110000, 4},
                                      {0x1FFFFF, 4}}) {
    EXPECT_EQ(first_utf8_character(encoded(value, length)).length, 0U);
  }
}

TEST(Utf8CharacterTest, RefusesCutAndStrayBytes) {
  for (const std::string_view text : {"\x80",
                                      "\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe4\xb8",
                                      "\xe4\xb8x",
                                      "\xf0\x9f\x98",
                                      "\xf0\x9f\x98x",
                                      "\xfe",
                                      "\xff"}) {
    EXPECT_EQ(first_utf8_character(text).length, 0U) << text;
    EXPECT_FALSE(is_utf8("ab" + std::string(text)));
  }
}

TEST(Utf8CharacterTest, TakesTextsOfManyCharacters) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"));
}

}  // namespace
}  // namespace penstock
