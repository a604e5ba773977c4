#include "stages/tokenizer/text_splitter.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stages/tokenizer/utf8_decoding.h"

namespace penstock {
namespace {

// ASCII, two, three and four bytes.
const std::vector<std::string> kCharacters = {" ",
                                              "a",
                                              "b",
                                              ".",
                                              "\n",
                                              "\xC3\xA9",
                                              "\xD0\xB6",
                                              "\xE6\xBC\xA2",
                                              "\xE5\xAD\x97",
                                              "\xE2\x80\x9C",
                                              "\xF0\x9F\x98\x80"};

std::string random_text(std::mt19937& random, std::size_t num_characters) {
  std::string text;
  for (std::size_t i = 0; i < num_characters; ++i) {
    text += kCharacters[random() % kCharacters.size()];
  }
  return text;
}

// Marked by blocks of `step`, a flag for each byte.
std::vector<bool> cuts_of(const TextSplitter& splitter, const std::string& text, std::size_t step) {
  const std::size_t num_blocks = text.size() / TextSplitter::kBlockBytes + 1;
  std::string padded = ' ' + text;
  padded.resize(1 + num_blocks * TextSplitter::kBlockBytes, 'x');
  std::vector<std::uint64_t> cuts(num_blocks);
  std::vector<BlockMarks> scratch;
  for (std::size_t block = 0; block < num_blocks; block += step) {
    splitter.mark(padded.data() + 1,
                  text.size(),
                  block,
                  std::min(step, num_blocks - block),
                  cuts.data() + block,
                  scratch);
  }
  std::vector<bool> flags(text.size());
  for (std::size_t i = 1; i < text.size(); ++i) {
    flags[i] = (cuts[i / 64] >> (i % 64) & 1U) != 0;
  }
  return flags;
}

TEST(TextSplitter, CutsOnlyWhereTheProofSaysSo) {
  std::mt19937 random(2);
  const SplitProof proof(
      {"ab", " a", "\xE6\xBC\xA2\xE5\xAD\x97", " \xE2\x80\x9C", "a\xC3\xA9", "\xF0\x9F\x98\x80."});
  for (const std::string& level : simd_levels()) {
    const TextSplitter splitter(proof, text_kernels(level));
    for (const std::size_t num_characters : {1, 20, 64, 500}) {
      const std::string text = random_text(random, num_characters);
      for (const std::size_t step : {1, 3, 100}) {
        const std::vector<bool> cuts = cuts_of(splitter, text, step);
        for (std::size_t i = 1; i < text.size(); ++i) {
          const bool is_begin = (static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U;
          const bool safe = is_begin && proof.is_safe(decode_utf8_before(text.data() + i),
                                                      decode_utf8(text.data() + i));
          EXPECT_TRUE(safe || !cuts[i]) << level << ' ' << i;
        }
      }
    }
  }
}

TEST(TextSplitter, CutsBetweenRareCharactersOfWhichNoPieceIs) {
  const SplitProof proof({"\xE6\xBC\xA2\xE5\xAD\x97", "ab"});
  for (const std::string& level : simd_levels()) {
    const TextSplitter splitter(proof, text_kernels(level));
    const std::string text =
        "a\xE6\xBC\xA2\xE5\xAD\x97\xE6\xBC\xA2"
        "ab";
    const std::vector<bool> expected = {
        false, true, false, false, false, false, false, true, false, false, true, false};
    EXPECT_EQ(cuts_of(splitter, text, 1), expected) << level;
  }
}

TEST(TextSplitter, FindsTheSameCutsAtEveryLevel) {
  std::mt19937 random(3);
  const SplitProof proof({"ab", " a", "\xE6\xBC\xA2\xE5\xAD\x97", "a\xC3\xA9"});
  const std::string text = random_text(random, 3000);
  const std::vector<bool> expected =
      cuts_of(TextSplitter(proof, text_kernels("portable")), text, 4);
  for (const std::string& level : simd_levels()) {
    EXPECT_EQ(cuts_of(TextSplitter(proof, text_kernels(level)), text, 4), expected) << level;
  }
}

}  // namespace
}  // namespace penstock
