#include "stages/tokenizer/normalizer.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/stages/built_transform.h"
#include "tests/stages/tokenizer/adversarial_text.h"
#include "tests/stages/tokenizer/simd_targets.h"

namespace penstock {
namespace {

using testing::AdversarialText;
using ::testing::HasSubstr;
using testing::read_file;
using testing::with_every_simd_target;

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

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
      normalized += kSpaceMark;
    }
    bool after_space = removes;
    while (!input.empty()) {
      auto [output, length] = prefix(input);
      while (after_space && output.starts_with(' ')) {
        output.remove_prefix(1);
      }
      if (!output.empty()) {
        for (const char byte : output) {
          normalized += byte == ' ' ? kSpaceMark : std::string_view(&byte, 1);
        }
        after_space = output.ends_with(' ');
      }
      input.remove_prefix(length);
      after_space = after_space && removes;
    }
    while (removes && normalized.ends_with(kSpaceMark)) {
      normalized.resize(normalized.size() - kSpaceMark.size());
    }
    if (as_suffix && model_.normalizer.add_dummy_prefix) {
      normalized += kSpaceMark;
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

std::string replace_all(std::string text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

SentencePieceModel model_file(const std::string& path) {
  return parse_sentencepiece_model(read_file(PENSTOCK_SOURCE_DIR "/" + path));
}

std::string normalized(const Normalizer& normalizer, std::string_view text) {
  ByteBuffer buffer;
  return std::string(normalizer.normalize(text, buffer));
}

void add_user_defined(SentencePieceModel& model, const std::string& text) {
  model.pieces.push_back({text, 0, PieceType::kUserDefined});
}

// Compares on adversarial texts, cut to many lengths, one buffer for all of them.
void expect_reference(const SentencePieceModel& model, int num_texts) {
  const Normalizer normalizer(model);
  const ReferenceNormalizer reference(model);
  AdversarialText texts(17);
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kUserDefined) {
      texts.add_fragment(piece.text);
    }
  }
  ByteBuffer buffer;
  for (int i = 0; i < num_texts; ++i) {
    const std::string text = texts.next();
    ASSERT_EQ(normalizer.normalize(text, buffer),
              replace_all(reference.normalize(text), kSpaceMark, " "))
        << "text: " << ::testing::PrintToString(text);
  }
}

TEST(Normalizer, DoesWhatTheLibraryDoes) {
  with_every_simd_target([] {
    for (const char* path : {"data/sample/demo_unigram_8k_nmt_nfkc.model",
                             "tests/data/models/unigram_2k_nfkc_cf_bytefb.model",
                             "tests/data/models/bpe_2k_nfkc_nobytefb.model",
                             "tests/data/models/unigram_2k_identity_nodummy.model",
                             "tests/data/models/bpe_2k_nosplit.model",
                             "tests/data/models/bpe_2k_suffix_bytefb.model"}) {
      SCOPED_TRACE(path);
      expect_reference(model_file(path), 1500);
    }
  });
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
  with_every_simd_target([&] { expect_reference(model, 1500); });
  model.normalizer.charsmap.clear();
  expect_reference(model, 1500);
}

TEST(Normalizer, ReplacesEveryCharacterAsTheLibraryDoes) {
  const SentencePieceModel model = model_file("data/sample/demo_unigram_8k_nmt_nfkc.model");
  const Normalizer normalizer(model);
  const ReferenceNormalizer reference(model);
  std::string all;
  for (char32_t code_point = 1; code_point < 0x20000; ++code_point) {
    if (code_point < 0xD800 || code_point >= 0xE000) {
      all += testing::utf8_of(code_point);
    }
  }
  EXPECT_EQ(normalized(normalizer, all), replace_all(reference.normalize(all), kSpaceMark, " "));
}

TEST(Normalizer, GrowsForReplacementsThatAreLongerThanTheText) {
  const SentencePieceModel model = model_file("data/sample/demo_unigram_8k_nmt_nfkc.model");
  std::string text;
  for (int i = 0; i < 5000; ++i) {
    text += "\xEF\xB7\xBA";  // a whole sentence in one character
  }
  EXPECT_EQ(normalized(Normalizer(model), text),
            replace_all(ReferenceNormalizer(model).normalize(text), kSpaceMark, " "));
}

TEST(Normalizer, HasNothingForWhiteSpaceAlone) {
  const Normalizer normalizer(model_file("data/sample/demo_unigram_8k_nmt_nfkc.model"));
  EXPECT_EQ(normalized(normalizer, ""), "");
  EXPECT_EQ(normalized(normalizer, " \t\n\xE3\x80\x80 "), "");
  EXPECT_EQ(normalized(normalizer, "\xE2\x96\x81"), "");
}

std::string refusal(const SentencePieceModel& model) {
  try {
    Normalizer normalizer(model);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Normalizer, RefusesWhatItCannotFollow) {
  SentencePieceModel model;
  model.normalizer.escape_whitespaces = false;
  EXPECT_THAT(refusal(model), HasSubstr("does not escape white space"));
  model = {};
  add_user_defined(model, "a\xFF");
  EXPECT_THAT(refusal(model), HasSubstr("not valid UTF-8"));
}

// Flips bits and cuts the end off: what is read stays inside the charsmap (the sanitizers look),
// and it comes to an end.
TEST(Normalizer, SurvivesADamagedCharsmap) {
  SentencePieceModel model = model_file("tests/data/models/bpe_2k_nfkc_nobytefb.model");
  const std::string good = model.normalizer.charsmap;
  std::mt19937 random(11);
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    std::string damaged = good.substr(0, i % 4 == 0 ? random() % good.size() : good.size());
    for (int flip = 0; flip < 200 && damaged.size() > 4; ++flip) {
      damaged[4 + random() % (damaged.size() - 4)] ^= static_cast<char>(1U << random() % 8);
    }
    model.normalizer.charsmap = damaged;
    try {
      const Normalizer normalizer(model);
      AdversarialText texts(static_cast<unsigned>(i));
      for (int text = 0; text < 50; ++text) {
        normalized(normalizer, texts.next());
      }
    } catch (const std::runtime_error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace penstock
