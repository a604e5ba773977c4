#include "stages/tokenizer/charsmap.h"

#include <cstddef>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stages/tokenizer/model_refused.h"
#include "tests/stages/tokenizer/charsmap_writer.h"

namespace penstock {
namespace {

using testing::CharsmapWriter;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Rules = CharsmapWriter::Rules;

constexpr std::size_t kBlock = CharsmapWriter::kBlock;

// Of the n-th node of a CharsmapWriter.
std::size_t children_of_node(std::size_t node) {
  return kBlock * (node + 1);
}

std::string refusal(const std::string& bytes) {
  try {
    Charsmap(bytes).visit_roles([](char32_t, Charsmap::Role) {});
  } catch (const ModelRefused& error) {
    return error.what();
  }
  return "";
}

TEST(Charsmap, FindsTheLongestRule) {
  const Charsmap charsmap(
      CharsmapWriter(Rules{{"a", "1"}, {"abc", "23"}, {"\xC3\xA9", ""}}).bytes());
  EXPECT_EQ(charsmap.longest_rule("ab").length, 1U);
  EXPECT_EQ(charsmap.longest_rule("ab").replacement, "1");
  EXPECT_EQ(charsmap.longest_rule("abcd").length, 3U);
  EXPECT_EQ(charsmap.longest_rule("abcd").replacement, "23");
  EXPECT_EQ(charsmap.longest_rule("\xC3\xA9").length, 2U);
  EXPECT_EQ(charsmap.longest_rule("\xC3\xA9").replacement, "");
  EXPECT_EQ(charsmap.longest_rule("b").length, 0U);
  EXPECT_EQ(charsmap.longest_rule("").length, 0U);
}

TEST(Charsmap, IsSafeWhereAWriterIs) {
  EXPECT_THAT(Charsmap::danger(""), IsEmpty());
  EXPECT_THAT(Charsmap::danger(CharsmapWriter(Rules{}).bytes()), IsEmpty());
  EXPECT_THAT(Charsmap::danger(CharsmapWriter(Rules{{"a", "b"}, {"ab", ""}}).bytes()), IsEmpty());
}

TEST(Charsmap, RefusesSizesThatDoNotFit) {
  const std::string bytes = CharsmapWriter(Rules{{"a", "b"}}).bytes();
  EXPECT_THAT(Charsmap::danger(bytes.substr(0, 3)), HasSubstr("has 3 bytes and claims 0"));
  EXPECT_THAT(Charsmap::danger(std::string(4, '\0')), HasSubstr("claims 0 for its double array"));
  EXPECT_THAT(Charsmap::danger(bytes.substr(0, 3000)), HasSubstr("claims 3072"));
  EXPECT_THAT(refusal(bytes.substr(0, 3000)), HasSubstr("its precompiled_charsmap is damaged"));
}

// The last block is not whole, and a text may have any byte.
TEST(Charsmap, RefusesADoubleArrayThatAWalkLeaves) {
  CharsmapWriter writer(Rules{{"a", "b"}});
  writer.units().resize(writer.units().size() - 1);
  EXPECT_THAT(Charsmap::danger(writer.bytes()), HasSubstr("a rule leads to unit 767 of 767"));
  writer.units().resize(children_of_node(1));
  EXPECT_THAT(Charsmap::danger(writer.bytes()), HasSubstr("a rule leads to unit 767 of 512"));
  writer.units().resize(1);
  EXPECT_THAT(Charsmap::danger(writer.bytes()), HasSubstr("a rule leads to unit 511 of 1"));
}

// The library can take it: no walk comes near the end.
TEST(Charsmap, RefusesADoubleArrayWithoutWholeBlocks) {
  CharsmapWriter writer(Rules{{"a", "b"}});
  writer.units().resize(writer.units().size() + 1);
  EXPECT_THAT(Charsmap::danger(writer.bytes()), IsEmpty());
  EXPECT_THAT(refusal(writer.bytes()), HasSubstr("3076 bytes, which is no multiple of 1,024"));
}

TEST(Charsmap, RefusesAReplacementBehindTheEnd) {
  CharsmapWriter writer(Rules{{"a", "b"}});
  ++writer.units()[children_of_node(1)];
  EXPECT_THAT(Charsmap::danger(writer.bytes()), IsEmpty());
  writer.units()[children_of_node(1)] += 2;
  EXPECT_THAT(Charsmap::danger(writer.bytes()), HasSubstr("a replacement is at byte 3 of 2"));
}

// "a" leads back to where it began.
TEST(Charsmap, RefusesRulesWithoutAnEnd) {
  CharsmapWriter writer(Rules{{"a", "b"}});
  const std::size_t root = children_of_node(0);
  writer.units()[root + 'a'] = CharsmapWriter::unit(root + 'a', 'a', root, false);
  EXPECT_THAT(Charsmap::danger(writer.bytes()), HasSubstr("a rule has no end"));
}

TEST(Charsmap, RefusesMoreNestedRulesThanTheLibraryHasRoomFor) {
  Rules rules;
  for (std::size_t size = 1; size <= 32; ++size) {
    rules[std::string(size, 'a')] = "b";
    rules[std::string(size, 'a') + "c"] = "d";
  }
  rules.erase(std::string(32, 'a') + "c");
  EXPECT_THAT(Charsmap::danger(CharsmapWriter(rules).bytes()), IsEmpty());
  rules[std::string(32, 'a') + "c"] = "d";
  EXPECT_THAT(Charsmap::danger(CharsmapWriter(rules).bytes()),
              HasSubstr("more than 32 rules of which each is the begin of the next one"));
}

TEST(Charsmap, RefusesRulesThatAreNotAboutCharacters) {
  EXPECT_THAT(refusal(CharsmapWriter(Rules{{"\xC3", "b"}}).bytes()),
              HasSubstr("inside a character"));
  EXPECT_THAT(refusal(CharsmapWriter(Rules{{"a", "\xC3"}}).bytes()), HasSubstr("not valid UTF-8"));
}

TEST(Charsmap, RefusesRulesThatMakeATextTooLong) {
  EXPECT_THAT(refusal(CharsmapWriter(Rules{{"a", std::string(31, 'b')}}).bytes()), IsEmpty());
  EXPECT_THAT(refusal(CharsmapWriter(Rules{{"a", std::string(32, 'b')}}).bytes()),
              HasSubstr("makes a text more than 31 times as long"));
  EXPECT_THAT(refusal(CharsmapWriter(Rules{{"\xE6\xBC\xA2", std::string(93, 'b')}}).bytes()),
              IsEmpty());
  EXPECT_THAT(refusal(CharsmapWriter(Rules{{"\xE6\xBC\xA2", std::string(94, 'b')}}).bytes()),
              HasSubstr("makes a text more than 31 times as long"));
  EXPECT_THAT(refusal(CharsmapWriter(Rules{{"a", std::string(1'000'000, 'b')}}).bytes()),
              HasSubstr("makes a text more than 31 times as long"));
}

// Every character from U+40000 to U+FFFFF, followed by every one of them, and so on: the array is
// small, but there are a million paths to each place where a character begins.
TEST(Charsmap, RefusesRulesThatTakeTooManySteps) {
  CharsmapWriter writer(Rules{});
  std::vector<std::uint32_t>& units = writer.units();
  constexpr std::size_t kMostCharacters = 200;
  units.resize(kBlock * (4 * kMostCharacters + 2), 1U << 31U);
  const auto link = [&](std::size_t from, unsigned first, unsigned last) {
    for (unsigned byte = first; byte < last; ++byte) {
      units[from + byte] =
          CharsmapWriter::unit(from + byte, static_cast<unsigned char>(byte), from + kBlock, false);
    }
  };
  for (std::size_t node = 0; node < 4 * kMostCharacters; node += 4) {
    link(children_of_node(node), 0xF1, 0xF4);
    link(children_of_node(node + 1), 0x80, 0xC0);
    link(children_of_node(node + 2), 0x80, 0xC0);
    link(children_of_node(node + 3), 0x80, 0xC0);
  }
  EXPECT_THAT(Charsmap::danger(writer.bytes()), IsEmpty());
  EXPECT_THAT(refusal(writer.bytes()), HasSubstr("takes more than 33554432 steps"));
}

}  // namespace
}  // namespace penstock
