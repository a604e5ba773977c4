#include "stages/tokenizer/split_proof.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

TEST(SplitProof, SplitsBetweenCharactersThatNoPieceHoldsSideBySide) {
  const SplitProof proof({"the", ",a", "\xC3\xA9t", "\xE6\xBC\xA2\xE5\xAD\x97"});
  EXPECT_FALSE(proof.is_safe('t', 'h'));
  EXPECT_FALSE(proof.is_safe('h', 'e'));
  EXPECT_TRUE(proof.is_safe('t', 'e'));
  EXPECT_TRUE(proof.is_safe('a', ','));
  EXPECT_FALSE(proof.is_safe(',', 'a'));
  EXPECT_FALSE(proof.is_safe(0xE9, 't'));
  EXPECT_TRUE(proof.is_safe('t', 0xE9));
  EXPECT_FALSE(proof.is_safe(0x6F22, 0x5B57));
  EXPECT_TRUE(proof.is_safe(0x5B57, 0x6F22));
  EXPECT_EQ(proof.num_pairs(), 5U);
}

TEST(SplitProof, TakesTheSpaceSymbolForASpace) {
  const SplitProof proof({"\xE2\x96\x81the", "\xE2\x96\x81\xE2\x96\x81", "x y"});
  EXPECT_FALSE(proof.is_safe(' ', 't'));
  EXPECT_FALSE(proof.is_safe(' ', ' '));
  EXPECT_FALSE(proof.is_safe('x', ' '));
  EXPECT_TRUE(proof.is_safe('e', ' '));
}

TEST(SplitProof, LeavesOutPiecesThatAreNotUtf8) {
  const SplitProof proof({"ab\xFF", "\xE6\xBC"});
  EXPECT_TRUE(proof.is_safe('a', 'b'));
  EXPECT_EQ(proof.num_pairs(), 0U);
}

TEST(SplitProof, CallsAPairOfClassesSafeOnlyWhereEveryPairOfCharactersIs) {
  const std::vector<std::string_view> pieces = {
      "q.", "\xE2\x96\x81(", "9\xC3\xA9", "\xC3\xA9;", "x\ny"};
  const SplitProof proof(pieces);
  const ByteClasses& classes = proof.classes();
  const auto class_of = [&classes](char32_t character) {
    return character < 128 ? classes.class_of[character] : ByteClasses::kNotAscii;
  };
  for (char32_t before = 0; before < 128; ++before) {
    for (char32_t after = 0; after < 128; ++after) {
      if ((classes.may_follow[class_of(before)] >> class_of(after) & 1U) == 0) {
        EXPECT_TRUE(proof.is_safe(before, after))
            << static_cast<int>(before) << ' ' << static_cast<int>(after);
      }
    }
  }
  EXPECT_EQ(classes.may_follow[class_of('9')] >> ByteClasses::kNotAscii & 1U, 1U);
  EXPECT_EQ(classes.may_follow[ByteClasses::kNotAscii] >> class_of(';') & 1U, 1U);
  EXPECT_EQ(classes.may_follow[ByteClasses::kNotAscii] >> class_of('a') & 1U, 0U);
  EXPECT_EQ(classes.may_follow[class_of('a')] >> class_of('.') & 1U, 1U);
  EXPECT_EQ(classes.may_follow[class_of('a')] >> class_of(' ') & 1U, 0U);
  EXPECT_EQ(classes.may_follow[ByteClasses::kNotAscii] >> ByteClasses::kNotAscii & 1U, 1U);
}

TEST(SplitProof, ReportsWhereATextIsCutAndWhatStandsInTheWay) {
  const SplitProof proof({"the", "a.b"});
  EXPECT_THAT(proof.report(), HasSubstr("\n    a-z  cut    .  cut  cut  cut    .  cut"));
  EXPECT_THAT(proof.report(), HasSubstr("\n  . before a-z: 1, such as 'a.b'\n"));
  EXPECT_THAT(proof.report(), HasSubstr("\n  a-z before a-z: 2, such as 'the'\n"));
}

}  // namespace
}  // namespace penstock
