#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/text_kernels.h"
#include "tests/stages/built_transform.h"
#include "tests/stages/tokenizer/charsmap_writer.h"
#include "tests/stages/tokenizer/model_writer.h"

// Models that no training would give: pieces put together at random over a few characters, many of
// equal scores, user-defined symbols that overlap, characters that are no pieces.

namespace penstock {
namespace {

using testing::CharsmapWriter;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Rules = CharsmapWriter::Rules;
using testing::kControl;
using testing::kNormal;
using testing::kUnknown;
using testing::kUnused;
using testing::kUserDefined;
using testing::ModelWriter;
using testing::PieceTypeNumber;
using testing::read_file;

const std::vector<std::string> kAlphabet = {
    "a", "b", "c", ".", "\xE2\x96\x81", "\xC3\xA9", "\xE6\xBC\xA2", "\xF0\x9F\x98\x80", "\n"};
const std::vector<std::string> kTextAlphabet = {" ",
                                                " ",
                                                " ",
                                                "a",
                                                "b",
                                                "c",
                                                ".",
                                                " ",
                                                "\xE2\x96\x81",
                                                "\xC3\xA9",
                                                "\xE6\xBC\xA2",
                                                "\xF0\x9F\x98\x80",
                                                "\n",
                                                "d",
                                                "\xE1\x88\xB0"};

std::string random_string(std::mt19937& random,
                          const std::vector<std::string>& alphabet,
                          std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) {
    text += alphabet[random() % alphabet.size()];
  }
  return text;
}

// With pieces of several spaces that are worse than all others, and spaces only at the begin of
// pieces: what the run of spaces before a word is cut off for.
void add_words_and_runs(ModelWriter& model, std::mt19937& random) {
  const std::vector<std::string> letters = {"a", "b", "c", "\xC3\xA9", "\xE6\xBC\xA2", "."};
  for (std::size_t i = 0; i < 40; ++i) {
    const std::string space = random() % 2 == 0 ? "\xE2\x96\x81" : "";
    model.add_piece(space + random_string(random, letters, 1 + random() % 4),
                    -static_cast<float>(random() % 20),
                    kNormal);
  }
  model.add_piece("\xE2\x96\x81", -20, kNormal);
  std::string run = "\xE2\x96\x81\xE2\x96\x81";
  for (std::size_t i = 0; i < 4; ++i) {
    model.add_piece(run, -100 + static_cast<float>(random() % 2), kNormal);
    run += random() % 2 == 0 ? "\xE2\x96\x81" : "\xE2\x96\x81\xE2\x96\x81";
  }
}

ModelWriter::Flags random_flags(std::mt19937& random, const std::string& charsmap) {
  ModelWriter::Flags flags;
  flags.byte_fallback = random() % 2 == 0;
  flags.dummy_prefix = random() % 2 == 0;
  flags.whitespace_as_suffix = random() % 8 == 0;
  flags.remove_extra_whitespaces = random() % 3 == 0;
  if (random() % 4 == 0) {
    flags.charsmap = charsmap;
  }
  return flags;
}

std::string random_bpe_model(std::mt19937& random, const std::string& charsmap) {
  ModelWriter model;
  model.add_piece("<unk>", 0, kUnknown);
  model.add_piece("<s>", 0, kControl);
  ModelWriter::Flags flags = random_flags(random, charsmap);
  flags.type = 2;
  if (flags.byte_fallback) {
    model.add_byte_pieces();
  }
  const std::size_t num_symbols = random() % 3 == 0 ? random() % 5 : 0;
  for (std::size_t i = 0; i < num_symbols; ++i) {
    const std::vector<std::string>& alphabet = random() % 4 == 0 ? kTextAlphabet : kAlphabet;
    model.add_piece(random_string(random, alphabet, 1 + random() % 4), 0, kUserDefined);
  }
  if (random() % 3 == 0) {
    add_words_and_runs(model, random);
    return model.finish(flags);
  }
  const std::size_t num_pieces = 3 + random() % 60;
  const unsigned num_scores = 1 + random() % 20;
  for (std::size_t i = 0; i < num_pieces; ++i) {
    const auto score = -static_cast<float>(random() % num_scores);
    model.add_piece(random_string(random, kAlphabet, 1 + random() % 5), score, kNormal);
  }
  return model.finish(flags);
}

// A Unigram model: scores that tie or nearly do, and such a size that rounding soon matters.
std::string random_unigram_model(std::mt19937& random, const std::string& charsmap) {
  ModelWriter model;
  model.add_piece("<unk>", 0, kUnknown);
  model.add_piece("<s>", 0, kControl);
  const ModelWriter::Flags flags = random_flags(random, charsmap);
  if (flags.byte_fallback) {
    model.add_byte_pieces();
  }
  const std::size_t num_symbols = random() % 3 == 0 ? random() % 6 : 0;
  for (std::size_t i = 0; i < num_symbols; ++i) {
    const std::string first = random() % 2 == 0 ? "<" : "";
    model.add_piece(
        first + random_string(random, kTextAlphabet, 1 + random() % 4), 0, kUserDefined);
  }
  const std::size_t num_pieces = 3 + random() % 60;
  const unsigned num_scores = 1 + random() % 20;
  const double scale = std::pow(10.0, random() % 5);
  const double noise = std::ldexp(1.0, -static_cast<int>(random() % 24));
  for (std::size_t i = 0; i < num_pieces; ++i) {
    const std::string text = random_string(random, kAlphabet, 1 + random() % 5);
    const double score = static_cast<double>(random() % num_scores) +
                         noise * static_cast<double>(random() % 3) +
                         static_cast<double>(text.size());
    const PieceTypeNumber type = random() % 10 == 0 ? kUnused : kNormal;
    model.add_piece(text, static_cast<float>(-scale * score), type);
  }
  model.add_piece("a", static_cast<float>(-3 * scale), kNormal);
  return model.finish(flags);
}

class NoLibrary final : public Encoder {
 public:
  void encode(std::string_view, std::vector<TokenId>&) override {
    throw std::logic_error("the library was asked");
  }
};

// Of texts that may be long, so that scores add up.
void expect_library_ids(const std::function<std::string(std::mt19937&)>& random_bytes,
                        std::size_t longest_text) {
  std::mt19937 random(6);
  const std::vector<std::string> levels = simd_levels();
  for (int round = 0; round < 400; ++round) {
    const std::string bytes = random_bytes(random);
    sentencepiece::SentencePieceProcessor library;
    ASSERT_TRUE(library.LoadFromSerializedProto(bytes).ok());
    const FastEngineResult fast =
        make_fast_engine(parse_sentencepiece_model(bytes), levels[random() % levels.size()]);
    ASSERT_NE(fast.engine, nullptr) << fast.refusal;
    const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), random() % 5000);
    for (int i = 0; i < 40; ++i) {
      const std::string text =
          random_string(random, kTextAlphabet, random() % (i == 0 ? longest_text : 40));
      const std::vector<int> expected = library.EncodeAsIds(text);
      std::vector<TokenId> ids;
      encoder->encode(text, ids);
      ASSERT_EQ(std::vector<int>(ids.begin(), ids.end()), expected)
          << "model " << round << ", text '" << text << "'";
    }
  }
}

std::string some_charsmap() {
  return parse_sentencepiece_model(
             read_file(PENSTOCK_SOURCE_DIR "/tests/data/models/unigram_2k_nfkc_cf_bytefb.model"))
      .normalizer.charsmap;
}

TEST(RandomVocabulary, GivesTheLibrarysIdsOfBpeModels) {
  const std::string charsmap = some_charsmap();
  expect_library_ids(
      [&charsmap](std::mt19937& random) { return random_bpe_model(random, charsmap); }, 1500);
}

TEST(RandomVocabulary, GivesTheLibrarysIdsOfUnigramModels) {
  const std::string charsmap = some_charsmap();
  expect_library_ids(
      [&charsmap](std::mt19937& random) { return random_unigram_model(random, charsmap); }, 20'000);
}

void expect_library_ids_of(const std::string& bytes,
                           const std::vector<std::string>& texts,
                           const std::vector<std::string>& levels = simd_levels()) {
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(bytes).ok());
  for (const std::string& level : levels) {
    const FastEngineResult fast = make_fast_engine(parse_sentencepiece_model(bytes), level);
    ASSERT_NE(fast.engine, nullptr) << fast.refusal;
    const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), 1000);
    for (const std::string& text : texts) {
      std::vector<TokenId> ids;
      encoder->encode(text, ids);
      EXPECT_EQ(std::vector<int>(ids.begin(), ids.end()), library.EncodeAsIds(text))
          << text.substr(0, 100);
    }
  }
}

// A symbol that takes the begin of another one's text, where extra spaces are removed elsewhere.
TEST(RandomVocabulary, LetsASymbolHideOneWithSpaces) {
  ModelWriter model;
  model.add_piece("<unk>", 0, kUnknown);
  model.add_piece("ab", 0, kUserDefined);
  model.add_piece("b  c", 0, kUserDefined);
  for (const char* text : {"\xE2\x96\x81", "a", "b", "c"}) {
    model.add_piece(text, -1, kNormal);
  }
  ModelWriter::Flags flags;
  flags.remove_extra_whitespaces = true;
  expect_library_ids_of(model.finish(flags), {"ab  c", "b  c", "a  b  c", "cab  cab  c"});
}

// Between the begin of a rule and the ASCII character by which it is seen stands another one.
TEST(RandomVocabulary, FollowsARuleWhoseEndIsSeenFirst) {
  ModelWriter model;
  model.add_piece("<unk>", 0, kUnknown);
  for (const char* text : {"\xE2\x96\x81", "a", "b", "c", "x", "\xC3\xA9"}) {
    model.add_piece(text, -1, kNormal);
  }
  ModelWriter::Flags flags;
  flags.charsmap = CharsmapWriter(Rules{{"a\xC3\xA9.", "x"}, {"\xC3\xA9.", "b"}}).bytes();
  const std::string rule = "a\xC3\xA9.";
  expect_library_ids_of(model.finish(flags),
                        {rule,
                         "c" + rule + rule,
                         "\xC3\xA9." + rule,
                         std::string(60, 'c') + rule,
                         std::string(61, 'c') + rule,
                         std::string(62, 'c') + rule,
                         std::string(63, 'c') + rule});
}

// A space that a rule has for an unknown character and the one behind it, behind another one.
TEST(RandomVocabulary, KeepsTheSpaceOfARuleBehindAnUnknownCharacter) {
  ModelWriter model;
  model.add_piece("<unk>", 0, kUnknown);
  for (const char* text : {"\xE2\x96\x81", "a", "b"}) {
    model.add_piece(text, -1, kNormal);
  }
  ModelWriter::Flags flags;
  flags.remove_extra_whitespaces = true;
  const std::string unknown = "\xD0\x95";
  const std::string rule = "\xD0\x96\xD0\x97";
  flags.charsmap = CharsmapWriter(Rules{{rule, " a"}}).bytes();
  expect_library_ids_of(model.finish(flags),
                        {"a " + unknown + rule,
                         unknown + rule + "b",
                         "a " + rule,
                         " " + unknown + unknown + " " + rule + " b",
                         "a " + unknown + unknown + rule + unknown + " " + rule});
}

// One word, to what cuts by classes of characters: the score is added up over all its parts, and
// the bound for it may stand for 2^18 of them.
TEST(RandomVocabulary, AddsUpTheScoreOverTheManyPartsOfAWord) {
  ModelWriter model;
  model.add_piece("<unk>", 0, kUnknown);
  for (const char* text : {"\xE2\x96\x81", "a", "b", "c", "d", "e"}) {
    model.add_piece(text, -9, kNormal);
  }
  model.add_piece("ab", -1.51F, kNormal);
  model.add_piece("cd", -3, kNormal);
  model.add_piece("de", -3.0001F, kNormal);
  std::mt19937 random(8);
  std::string text;
  while (text.size() < 1'200'000) {
    text += random() % 100 == 0 ? "cde" : "ab";
  }
  expect_library_ids_of(model.finish({}), {text}, {simd_levels().front()});
}

std::string refusal(const std::string& model) {
  return make_fast_engine(parse_sentencepiece_model(model)).refusal;
}

TEST(RandomVocabulary, IsRefusedWhereABpeModelsIdsCannotBeProved) {
  const auto model_with = [](const std::string& text, float score, PieceTypeNumber type) {
    ModelWriter model;
    model.add_piece("<unk>", 0, kUnknown);
    model.add_piece("ab", -1, kNormal);
    model.add_piece(text, score, type);
    ModelWriter::Flags flags;
    flags.type = 2;
    return model.finish(flags);
  };
  EXPECT_THAT(refusal(model_with("a", 0, kNormal)), IsEmpty());
  EXPECT_THAT(refusal(model_with("bb", 0, kUnused)), HasSubstr("'bb' is marked as unused"));
  EXPECT_THAT(refusal(model_with("b", 0, kControl)), HasSubstr("'b' is a single character"));
  EXPECT_THAT(refusal(model_with("bb", std::nanf(""), kNormal)), HasSubstr("'bb' is not a number"));
  EXPECT_THAT(refusal(model_with(std::string(1, '\0') + "b", 0, kUserDefined)),
              HasSubstr("zero byte"));
  EXPECT_THAT(refusal(model_with(std::string(65, 'b'), 0, kUserDefined)),
              HasSubstr("longer than 64 bytes"));
  EXPECT_THAT(refusal(model_with(std::string(1023, 'b'), 0, kNormal)), IsEmpty());
  EXPECT_THAT(refusal(model_with(std::string(1024, 'b'), 0, kNormal)),
              HasSubstr("1024 bytes, more than 1023, and what it is merged from takes too long"));
}

// Each piece is short enough, but all of them would take minutes.
TEST(RandomVocabulary, IsRefusedWhereABpeModelsPiecesAreTooLongInAll) {
  SentencePieceModel model;
  model.type = SentencePieceType::kBpe;
  model.pieces.push_back({"<unk>", 0, PieceType::kUnknown});
  for (int i = 0; i < 2200; ++i) {
    model.pieces.push_back({std::string(1000, 'b') + std::to_string(i), 0, PieceType::kNormal});
  }
  EXPECT_THAT(make_fast_engine(model).refusal, HasSubstr("its pieces are so long"));
}

TEST(RandomVocabulary, IsRefusedWhereAUnigramModelsIdsCannotBeProved) {
  const auto model_with = [](const std::string& text, float score, PieceTypeNumber type) {
    ModelWriter model;
    model.add_piece("<unk>", 0, kUnknown);
    model.add_piece("ab", -1, kNormal);
    model.add_piece(text, score, type);
    return model.finish(ModelWriter::Flags());
  };
  EXPECT_THAT(refusal(model_with("a", 0, kNormal)), IsEmpty());
  EXPECT_THAT(refusal(model_with("bb", 0, kUnused)), IsEmpty());
  EXPECT_THAT(refusal(model_with("bb", std::nanf(""), kNormal)), HasSubstr("has the score nan"));
  EXPECT_THAT(refusal(model_with("bb", -1e9F, kNormal)), HasSubstr("has the score -1000000000"));
  EXPECT_THAT(refusal(model_with(std::string(1, '\0') + "b", -1, kNormal)),
              HasSubstr("has a zero byte"));
  EXPECT_THAT(refusal(model_with(std::string("a\0 b", 4), -1, kNormal)),
              HasSubstr("has a zero byte"));
  EXPECT_THAT(refusal(model_with("a\xFF", -1, kNormal)), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(refusal(model_with(std::string(1024, 'b'), -1, kNormal)), HasSubstr("1024 bytes"));
  EXPECT_THAT(refusal(model_with(std::string(65, 'b'), 0, kUserDefined)),
              HasSubstr("longer than 64 bytes"));
}

}  // namespace
}  // namespace penstock
