#include "stages/tokenizer/space_runs.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace penstock {
namespace {

const std::string kSpace = "\xE2\x96\x81";

SentencePieceModel model_of(const std::vector<std::pair<std::string, float>>& pieces) {
  SentencePieceModel model;
  for (const auto& [text, score] : pieces) {
    model.pieces.push_back({text, score, PieceType::kNormal});
  }
  return model;
}

TEST(SpaceRuns, AreCutWherePiecesOfSpacesAreTheWorst) {
  const SpaceRuns runs(
      model_of({{kSpace + "a", -1}, {kSpace, -5}, {"b", -7}, {kSpace + kSpace, -9}}));
  ASSERT_TRUE(runs.are_cut());
  EXPECT_EQ(runs.space_id(), 1U);
}

TEST(SpaceRuns, AreNotCutOtherwise) {
  const std::pair<std::string, float> run = {kSpace + kSpace, -9};
  const std::pair<std::string, float> space = {kSpace, -5};
  EXPECT_FALSE(SpaceRuns(model_of({{"a", -9}, space, run})).are_cut());
  EXPECT_FALSE(SpaceRuns(model_of({{kSpace + kSpace + "a", -1}, space, run})).are_cut());
  EXPECT_FALSE(SpaceRuns(model_of({{"a" + kSpace, -1}, space, run})).are_cut());
  EXPECT_FALSE(SpaceRuns(model_of({{kSpace + "a" + kSpace, -1}, space, run})).are_cut());
  EXPECT_FALSE(SpaceRuns(model_of({{"a", -1}, run})).are_cut());
  EXPECT_FALSE(SpaceRuns(model_of({{"a", -1}, space})).are_cut());
  SentencePieceModel with_user_defined = model_of({{"a", -1}, space, run, {kSpace + "b", -1}});
  with_user_defined.pieces.back().type = PieceType::kUserDefined;
  EXPECT_FALSE(SpaceRuns(with_user_defined).are_cut());
}

// Where a text is cut, as '|' before the byte; `cuts` are there before.
std::string marked(const std::string& text, std::vector<std::uint64_t> cuts) {
  std::vector<BlockMarks> marks(cuts.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    marks[i / 64].spaces |= std::uint64_t{text[i] == ' '} << (i % 64);
  }
  std::uint64_t before = 0;
  SpaceRuns::mark(marks.data(), text.size(), cuts.data(), before);
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    result += (cuts[i / 64] >> (i % 64) & 1U) != 0 ? "|" : "";
    result += text[i];
  }
  return result;
}

TEST(SpaceRuns, CutBeforeTheLastSpaceOfSeveral) {
  EXPECT_EQ(marked("a b  c   d ", {0}), "a b | c  | d ");
  EXPECT_EQ(marked("  a", {0}), " | a");
  EXPECT_EQ(marked("a   ", {0}), "a   ");
}

TEST(SpaceRuns, StayWholeBeforeACut) {
  EXPECT_EQ(marked("a  1  b", {0b1000}), "a  |1 | b");
}

TEST(SpaceRuns, AreCutAcrossBlocks) {
  for (std::size_t size = 60; size < 68; ++size) {
    const std::string text = std::string(size, 'x') + "  y";
    EXPECT_EQ(marked(text, {0, 0}), std::string(size, 'x') + " | y");
  }
}

}  // namespace
}  // namespace penstock
