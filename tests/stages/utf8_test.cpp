#include "stages/utf8.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::Optional;

TEST(Utf8, TakesEachLengthOfSequenceAtItsBounds) {
  for (const std::string_view text : {std::string_view(""),
                                      std::string_view("\0\x7f", 2),
                                      std::string_view("\xc2\x80\xdf\xbf"),
                                      std::string_view("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"),
                                      std::string_view("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")}) {
    EXPECT_EQ(utf8_error(text), std::nullopt) << text;
  }
}

TEST(Utf8, NamesTheFirstByteOfTheFirstBadSequence) {
  struct Case {
    std::string bad;
    std::string byte;
  };
  const std::vector<Case> cases = {{"\x80", "0x80"},
                                   {"\xbf", "0xbf"},
                                   {"\xc0\xaf", "0xc0"},
                                   {"\xc1\xbf", "0xc1"},
                                   {"\xc3(", "0xc3"},
                                   {"\xe0\x9f\xbf", "0xe0"},
                                   {"\xe4\xb8", "0xe4"},
                                   {"\xe4\xb8x", "0xe4"},
                                   {"\xed\xa0\xbd", "0xed"},
                                   {"\xf0\x8f\xbf\xbf", "0xf0"},
                                   {"\xf4\x90\x80\x80", "0xf4"},
                                   {"\xf5\x80\x80\x80", "0xf5"},
                                   {"\xff", "0xff"}};
  for (const Case& bad : cases) {
    for (const std::string& rest : {std::string(), std::string("\"abc"), std::string(80, 'x')}) {
      EXPECT_THAT(utf8_error("a日" + bad.bad + rest),
                  Optional("invalid UTF-8 at byte 4 of the record (" + bad.byte + ")"));
    }
  }
}

}  // namespace
}  // namespace penstock
