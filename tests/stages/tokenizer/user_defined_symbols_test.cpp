#include "stages/tokenizer/user_defined_symbols.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace penstock {
namespace {

UserDefinedSymbols symbols(const std::vector<std::string>& texts) {
  SentencePieceModel model;
  for (const std::string& text : texts) {
    model.pieces.push_back({text, 0, PieceType::kUserDefined});
  }
  return UserDefinedSymbols(model);
}

// Where the symbols cut a text of which every place was cut before, as '|' before the byte.
std::string marked(const UserDefinedSymbols& symbols, std::string text, std::size_t num_blocks) {
  const std::size_t size = text.size();
  text.resize((num_blocks + 1) * TextKernels::kBlockBytes, '#');
  std::vector<std::uint64_t> cuts(num_blocks, ~std::uint64_t{0});
  std::vector<BlockMarks> scratch;
  std::size_t covered = 0;
  for (std::size_t block = 0; block < num_blocks; ++block) {
    symbols.mark(text_kernels(),
                 std::string_view(text).substr(0, size),
                 block,
                 1,
                 cuts.data() + block,
                 scratch,
                 covered);
  }
  std::string result;
  for (std::size_t i = 0; i < size; ++i) {
    result += (cuts[i / 64] >> (i % 64) & 1U) != 0 ? "|" : "";
    result += text[i];
  }
  return result;
}

TEST(UserDefinedSymbols, AreTheLongestOnesFromTheLeft) {
  const UserDefinedSymbols found = symbols({"<a>", "<a>b", "b<", "5"});
  EXPECT_EQ(marked(found, "<a>bc", 1), "|<a>b|c");
  EXPECT_EQ(marked(found, "<a>c<a", 1), "|<a>|c|<|a");
  EXPECT_EQ(marked(found, "xb<a>", 1), "|x|b<|a|>");
  EXPECT_EQ(marked(found, "5<a>55", 1), "|5|<a>|5|5");
  EXPECT_EQ(found.longest_prefix("<a>"), 3U);
  EXPECT_EQ(found.longest_prefix("a>"), 0U);
  EXPECT_EQ(found.id_of("b<"), TokenId{2});
  EXPECT_EQ(found.id_of("b"), std::nullopt);
}

TEST(UserDefinedSymbols, AreFoundAcrossBlocks) {
  const UserDefinedSymbols found = symbols({"<abc>"});
  for (std::size_t before = 55; before < 70; ++before) {
    std::string expected;
    for (std::size_t i = 0; i < before; ++i) {
      expected += "|x";
    }
    EXPECT_EQ(marked(found, std::string(before, 'x') + "<abc>y", 2), expected + "|<abc>|y");
  }
}

TEST(UserDefinedSymbols, AreFoundWhereTheyHaveManyFirstBytes) {
  std::vector<std::string> texts;
  for (char first = 'A'; first <= 'Z'; ++first) {
    texts.push_back({first, static_cast<char>(first + 32), '!'});
  }
  const UserDefinedSymbols found = symbols(texts);
  EXPECT_EQ(marked(found, "Aa!Bb!Ab!Zz!", 1), "|Aa!|Bb!|A|b|!|Zz!");
}

TEST(UserDefinedSymbols, HaveASpaceForTheSpaceSymbol) {
  const UserDefinedSymbols found = symbols({"\xE2\x96\x81\xE2\x96\x81x", "a b"});
  EXPECT_EQ(found.size(), 1U);
  EXPECT_EQ(marked(found, "   xa b", 1), "| |  x|a| |b");
}

}  // namespace
}  // namespace penstock
