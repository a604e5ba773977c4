#include "stages/tokenizer/normalizer.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stages/tokenizer/model_refused.h"
#include "stages/tokenizer/piece_text.h"
#include "tests/stages/built_transform.h"
#include "tests/stages/tokenizer/hard_texts.h"

namespace penstock {
namespace {

using testing::hard_texts;
using ::testing::HasSubstr;
using testing::read_file;

// The library's normalizer (normalizer.cc of SentencePiece 0.1.97), line by line.
class ReferenceNormalizer {
 public:
  explicit ReferenceNormalizer(const SentencePieceModel& model) : model_(model) {
    const std::string& charsmap = model.normalizer.charsmap;
    if (!charsmap.empty()) {
      std::uint32_t bytes = 0;
      std::memcpy(&bytes, charsmap.data(), sizeof(bytes));
      units_.resize(bytes / 4);
      std::memcpy(units_.data(), charsmap.data() + 4, bytes);
      replacements_ = charsmap.substr(4 + bytes);
    }
  }

  std::string normalize(std::string_view input) const {
    const bool removes = model_.normalizer.remove_extra_whitespaces;
    while (removes && !input.empty()) {
      const auto [output, length] = prefix(input);
      if (output != " ") {
        break;
      }
      input.remove_prefix(length);
    }
    if (input.empty()) {
      return "";
    }
    std::string normalized;
    const bool as_suffix = model_.treat_whitespace_as_suffix;
    if (!as_suffix && model_.normalizer.add_dummy_prefix) {
      normalized += kSpaceSymbol;
    }
    bool after_space = removes;
    while (!input.empty()) {
      auto [output, length] = prefix(input);
      while (after_space && output.starts_with(' ')) {
        output.remove_prefix(1);
      }
      if (!output.empty()) {
        for (const char byte : output) {
          normalized += byte == ' ' ? kSpaceSymbol : std::string_view(&byte, 1);
        }
        after_space = output.ends_with(' ');
      }
      input.remove_prefix(length);
      after_space = after_space && removes;
    }
    while (removes && normalized.ends_with(kSpaceSymbol)) {
      normalized.resize(normalized.size() - kSpaceSymbol.size());
    }
    if (as_suffix && model_.normalizer.add_dummy_prefix) {
      normalized += kSpaceSymbol;
    }
    return normalized;
  }

 private:
  struct Prefix {
    std::string_view output;
    std::size_t length;
  };

  Prefix prefix(std::string_view input) const {
    std::size_t symbol = 0;
    for (const Piece& piece : model_.pieces) {
      if (piece.type == PieceType::kUserDefined && input.starts_with(piece.text)) {
        symbol = std::max(symbol, piece.text.size());
      }
    }
    if (symbol > 0) {
      return {input.substr(0, symbol), symbol};
    }
    std::size_t longest = 0;
    std::uint32_t value = 0;
    std::size_t position = units_.empty() ? 0 : offset(units_[0]);
    for (std::size_t i = 0; i < input.size() && !units_.empty(); ++i) {
      const auto byte = static_cast<unsigned char>(input[i]);
      position ^= byte;
      const std::uint32_t unit = units_.at(position);
      if ((unit & 0x800000FFU) != byte) {
        break;
      }
      position ^= offset(unit);
      if ((unit >> 8U & 1U) != 0) {
        longest = i + 1;
        value = units_.at(position) & 0x7FFFFFFFU;
      }
    }
    if (longest > 0) {
      return {std::string_view(replacements_.c_str() + value), longest};
    }
    const auto first = static_cast<unsigned char>(input[0]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    return {input.substr(0, length), length};
  }

  static std::size_t offset(std::uint32_t unit) {
    return std::size_t{unit >> 10U} << ((unit & (1U << 9U)) >> 6U);
  }

  const SentencePieceModel& model_;
  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

SentencePieceModel model_file(const std::string& path) {
  return parse_sentencepiece_model(read_file(PENSTOCK_SOURCE_DIR "/" + path));
}

std::string normalized(const Normalizer& normalizer, std::string_view text) {
  ByteBuffer buffer;
  return std::string(normalizer.normalize(text, buffer));
}

// Of a code point that needs three bytes at most, or four with a first byte of 0xF0.
std::string utf8_of(char32_t code_point) {
  const auto tail = [code_point](unsigned shift) {
    return static_cast<char>(0x80U | (code_point >> shift & 0x3FU));
  };
  if (code_point < 0x80) {
    return {static_cast<char>(code_point)};
  }
  if (code_point < 0x800) {
    return {static_cast<char>(0xC0U | code_point >> 6U), tail(0)};
  }
  if (code_point < 0x10000) {
    return {static_cast<char>(0xE0U | code_point >> 12U), tail(6), tail(0)};
  }
  return {static_cast<char>(0xF0U), tail(12), tail(6), tail(0)};
}

void add_user_defined(SentencePieceModel& model, const std::string& text) {
  model.pieces.push_back({text, 0, PieceType::kUserDefined});
}

void expect_reference(const SentencePieceModel& model, int num_texts) {
  const ReferenceNormalizer reference(model);
  std::vector<std::string> texts = hard_texts(model, static_cast<std::size_t>(num_texts));
  // What marks can combine with, user-defined or not.
  for (const char* text :
       {"<eop>\xCC\xB8", " \xCC\x81", "<EOP>e\xCC\x81zz", "A\xCC\x81.\xCC\xB8"}) {
    texts.emplace_back(text);
    texts.push_back(std::string(61, 'a') + text);
    texts.push_back(std::string(63, 'a') + text);
  }
  std::vector<std::string> expected;
  for (const std::string& text : texts) {
    expected.push_back(with_spaces(reference.normalize(text)));
  }
  for (const std::string& level : simd_levels()) {
    SCOPED_TRACE(level);
    const Normalizer normalizer(model, text_kernels(level));
    ByteBuffer buffer;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      ASSERT_EQ(normalizer.normalize(texts[i], buffer), expected[i])
          << "text: " << ::testing::PrintToString(texts[i]);
    }
  }
}

TEST(Normalizer, DoesWhatTheLibraryDoes) {
  for (const char* path : {"data/sample/demo_unigram_8k_nmt_nfkc.model",
                           "tests/data/models/unigram_2k_nfkc_cf_bytefb.model",
                           "tests/data/models/bpe_2k_nfkc_nobytefb.model",
                           "tests/data/models/unigram_2k_identity_nodummy.model",
                           "tests/data/models/bpe_2k_nosplit.model",
                           "tests/data/models/bpe_2k_suffix_bytefb.model"}) {
    SCOPED_TRACE(path);
    expect_reference(model_file(path), 1500);
  }
}

TEST(Normalizer, FollowsEveryFlag) {
  SentencePieceModel model = model_file("data/sample/demo_unigram_8k_nmt_nfkc.model");
  for (int flags = 0; flags < 16; ++flags) {
    SCOPED_TRACE(flags);
    model.normalizer.add_dummy_prefix = (flags & 1) != 0;
    model.normalizer.remove_extra_whitespaces = (flags & 2) != 0;
    model.treat_whitespace_as_suffix = (flags & 4) != 0;
    if (flags == 8) {
      model.normalizer.charsmap.clear();
    }
    expect_reference(model, 400);
  }
}

TEST(Normalizer, KeepsUserDefinedSymbolsAsTheyAre) {
  SentencePieceModel model = model_file("tests/data/models/unigram_2k_nfkc_cf_bytefb.model");
  for (const char* symbol : {".",
                             "<eop>",
                             "<EOP>",
                             "A",
                             "ab",
                             "\xEF\xBC\xA1",
                             "  ",
                             "x  y",
                             "e",
                             "e\xCC\x81z",
                             "\xE2\x96\x81",
                             ">",
                             "\xCC\x81",
                             "\xEF\xAC\x81"}) {
    add_user_defined(model, symbol);
  }
  expect_reference(model, 1500);
  model.normalizer.charsmap.clear();
  expect_reference(model, 1500);
}

TEST(Normalizer, ReplacesEveryCharacterAsTheLibraryDoes) {
  const SentencePieceModel model = model_file("data/sample/demo_unigram_8k_nmt_nfkc.model");
  const Normalizer normalizer(model, text_kernels());
  const ReferenceNormalizer reference(model);
  std::string all;
  for (char32_t code_point = 1; code_point < 0x20000; ++code_point) {
    if (code_point < 0xD800 || code_point >= 0xE000) {
      all += utf8_of(code_point);
    }
  }
  EXPECT_EQ(normalized(normalizer, all), with_spaces(reference.normalize(all)));
}

TEST(Normalizer, GrowsForReplacementsThatAreLongerThanTheText) {
  const SentencePieceModel model = model_file("data/sample/demo_unigram_8k_nmt_nfkc.model");
  std::string text;
  for (int i = 0; i < 5000; ++i) {
    text += "\xEF\xB7\xBA";  // a whole sentence in one character
  }
  EXPECT_EQ(normalized(Normalizer(model, text_kernels()), text),
            with_spaces(ReferenceNormalizer(model).normalize(text)));
}

TEST(Normalizer, HasNothingForWhiteSpaceAlone) {
  const Normalizer normalizer(model_file("data/sample/demo_unigram_8k_nmt_nfkc.model"),
                              text_kernels());
  EXPECT_EQ(normalized(normalizer, ""), "");
  EXPECT_EQ(normalized(normalizer, " \t\n\xE3\x80\x80 "), "");
  EXPECT_EQ(normalized(normalizer, "\xE2\x96\x81"), "");
}

std::string refusal(const SentencePieceModel& model) {
  try {
    Normalizer normalizer(model, text_kernels());
  } catch (const ModelRefused& error) {
    return error.what();
  }
  return "";
}

TEST(Normalizer, RefusesWhatItCannotFollow) {
  SentencePieceModel model;
  model.normalizer.escape_whitespaces = false;
  EXPECT_THAT(refusal(model), HasSubstr("does not write spaces as U+2581"));
  model = {};
  add_user_defined(model, "a\xFF");
  EXPECT_THAT(refusal(model), HasSubstr("not valid UTF-8"));
}

// Flips bits and cuts the end off: what is read stays inside the charsmap (the sanitizers look),
// and it comes to an end.
TEST(Normalizer, SurvivesADamagedCharsmap) {
  SentencePieceModel model = model_file("tests/data/models/bpe_2k_nfkc_nobytefb.model");
  const std::string good = model.normalizer.charsmap;
  const std::vector<std::string> texts = hard_texts(model, 50);
  std::mt19937 random(11);
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    std::string damaged = good.substr(0, i % 4 == 0 ? random() % good.size() : good.size());
    for (int flip = 0; flip < i % 8 && damaged.size() > 4; ++flip) {
      damaged[4 + random() % (damaged.size() - 4)] ^= static_cast<char>(1U << random() % 8);
    }
    model.normalizer.charsmap = damaged;
    try {
      const Normalizer normalizer(model, text_kernels());
      for (const std::string& text : texts) {
        normalized(normalizer, text);
      }
    } catch (const ModelRefused&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 40);
}

}  // namespace
}  // namespace penstock
