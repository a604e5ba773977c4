#include "stages/tokenizer/sentencepiece_model.h"

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <protozero/pbf_writer.hpp>
#include <sentencepiece_processor.h>

#include "tests/stages/built_transform.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::read_file;

std::string in_tree(const std::string& path) {
  return PENSTOCK_SOURCE_DIR "/" + path;
}

std::string test_model(const std::string& name) {
  return in_tree("tests/data/models/" + name + ".model");
}

SentencePieceModel parse_file(const std::string& path) {
  return parse_sentencepiece_model(read_file(path));
}

std::string parse_error(const std::string& bytes) {
  try {
    parse_sentencepiece_model(bytes);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

std::string oddity(const std::string& bytes) {
  return parse_sentencepiece_model(bytes).oddity;
}

// The bytes of a piece's message; type 0 stands for a piece without a type.
std::string piece(const std::string& text, int type) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  writer.add_string(1, text);
  if (type != 0) {
    writer.add_enum(3, type);
  }
  return bytes;
}

std::string model_of(const std::vector<std::string>& pieces) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  for (const std::string& message : pieces) {
    writer.add_message(1, message);
  }
  return bytes;
}

TEST(SentencePieceModel, ReadsThePiecesThatTheLibraryReads) {
  for (const std::filesystem::path folder : {"tests/data/models", "data/sample"}) {
    for (const auto& entry : std::filesystem::directory_iterator(in_tree(folder))) {
      if (entry.path().extension() != ".model") {
        continue;
      }
      SCOPED_TRACE(entry.path());
      sentencepiece::SentencePieceProcessor library;
      ASSERT_TRUE(library.Load(entry.path().string()).ok());
      const SentencePieceModel model = parse_file(entry.path());
      ASSERT_EQ(std::ssize(model.pieces), library.GetPieceSize());
      EXPECT_EQ(static_cast<int>(model.unknown_id), library.unk_id());
      for (int id = 0; id < library.GetPieceSize(); ++id) {
        const Piece& read = model.pieces[static_cast<std::size_t>(id)];
        EXPECT_EQ(read.text, library.IdToPiece(id));
        EXPECT_EQ(read.score, library.GetScore(id));
        EXPECT_EQ(read.type == PieceType::kControl, library.IsControl(id));
        EXPECT_EQ(read.type == PieceType::kUnused, library.IsUnused(id));
        EXPECT_EQ(read.type == PieceType::kByte, library.IsByte(id));
      }
    }
  }
}

TEST(SentencePieceModel, ReadsTheFlagsOfABpeModel) {
  const SentencePieceModel model = parse_file(test_model("bpe_2k_uds_ctrl_nodummy"));
  EXPECT_EQ(model.type, SentencePieceType::kBpe);
  EXPECT_TRUE(model.byte_fallback);
  EXPECT_EQ(model.pieces[model.byte_ids[0x0A]].text, "<0x0A>");
  EXPECT_FALSE(model.treat_whitespace_as_suffix);
  EXPECT_EQ(model.normalizer.name, "identity");
  EXPECT_THAT(model.normalizer.charsmap, IsEmpty());
  EXPECT_FALSE(model.normalizer.add_dummy_prefix);
  EXPECT_FALSE(model.normalizer.remove_extra_whitespaces);
  EXPECT_TRUE(model.normalizer.escape_whitespaces);
}

TEST(SentencePieceModel, ReadsTheFlagsOfOtherModels) {
  EXPECT_TRUE(parse_file(test_model("bpe_2k_suffix_bytefb")).treat_whitespace_as_suffix);
  const SentencePieceModel unigram = parse_file(test_model("unigram_1k_ids"));
  EXPECT_EQ(unigram.type, SentencePieceType::kUnigram);
  EXPECT_EQ(unigram.unknown_id, 3U);
  EXPECT_FALSE(unigram.byte_fallback);
  EXPECT_THAT(unigram.normalizer.charsmap, Not(IsEmpty()));
  EXPECT_TRUE(unigram.normalizer.remove_extra_whitespaces);
  EXPECT_EQ(parse_file(test_model("word_4k")).type, SentencePieceType::kWord);
  EXPECT_EQ(parse_file(test_model("char_1k")).type, SentencePieceType::kChar);
}

TEST(SentencePieceModel, TakesTheDefaultsForWhatIsLeftOut) {
  const SentencePieceModel model =
      parse_sentencepiece_model(model_of({piece("a", 0), piece("<unk>", 2)}));
  EXPECT_EQ(model.type, SentencePieceType::kUnigram);
  EXPECT_EQ(model.pieces[0].type, PieceType::kNormal);
  EXPECT_EQ(model.pieces[0].score, 0);
  EXPECT_EQ(model.unknown_id, 1U);
  EXPECT_TRUE(model.normalizer.add_dummy_prefix);
  EXPECT_TRUE(model.normalizer.remove_extra_whitespaces);
  EXPECT_TRUE(model.normalizer.escape_whitespaces);
}

TEST(SentencePieceModel, SkipsFieldsOfAnotherWireType) {
  std::string odd_piece;
  protozero::pbf_writer writer(odd_piece);
  writer.add_int32(1, 7);
  writer.add_string(2, "score");
  writer.add_string(3, "type");
  writer.add_string(1, "text");
  const SentencePieceModel model =
      parse_sentencepiece_model(model_of({odd_piece, piece("<unk>", 2)}));
  EXPECT_EQ(model.pieces[0].text, "text");
}

TEST(SentencePieceModel, RefusesWhatIsNoProtocolBuffer) {
  EXPECT_THAT(parse_error("{\"model\": \"json\"}\n"), HasSubstr("from byte 0 on"));
  const std::string first = model_of({piece("a", 1)});
  std::string cut_off = model_of({piece("a", 1), piece("<unk>", 2)});
  cut_off.pop_back();
  EXPECT_EQ(parse_error(cut_off),
            "its protocol buffer cannot be read from byte " + std::to_string(first.size()) + " on");
}

TEST(SentencePieceModel, SaysWhatIsOddAboutAModel) {
  EXPECT_THAT(oddity(model_of({piece("<unk>", 2)})), IsEmpty());
  EXPECT_THAT(oddity(""), HasSubstr("no piece stands for what is unknown"));
  EXPECT_THAT(oddity(model_of({piece("a", 1)})), HasSubstr("no piece stands for"));
  EXPECT_THAT(oddity(model_of({piece("a", 99), piece("<unk>", 2)})),
              HasSubstr("a piece has the unknown type 99"));
  EXPECT_THAT(oddity(model_of({piece("", 1), piece("<unk>", 2)})), HasSubstr("without text"));
  EXPECT_THAT(oddity(model_of({piece("a", 1), piece("<unk>", 2), piece("a", 4)})),
              HasSubstr("the piece 'a' is there twice"));
  EXPECT_THAT(oddity(model_of({piece("a", 1), piece("<unk>", 2), piece("a", 3)})), IsEmpty());
  std::string trainer;
  protozero::pbf_writer(trainer).add_enum(3, 17);
  std::string bytes = model_of({piece("<unk>", 2)});
  protozero::pbf_writer(bytes).add_message(2, trainer);
  EXPECT_THAT(oddity(bytes), HasSubstr("it has the unknown type 17"));
}

// Field 300 as a group that holds a field of each wire type, and other groups.
std::string group() {
  std::string inside;
  protozero::pbf_writer writer(inside);
  writer.add_int32(1, 7);
  writer.add_fixed32(1, 7);
  writer.add_fixed64(1, 7);
  writer.add_string(1, "\x0B\x0C");
  const std::string empty = {'\x0B', '\x0C'};  // field 1
  return "\xE3\x12" + inside + empty + '\x0B' + inside + empty + "\x0C" + "\xE4\x12";
}

TEST(SentencePieceModel, SkipsGroups) {
  std::string trainer = group();
  protozero::pbf_writer(trainer).add_enum(3, 2);
  std::string bytes = group() + model_of({group() + piece("a", 1) + group(), piece("<unk>", 2)});
  protozero::pbf_writer(bytes).add_message(2, trainer);
  bytes += group() + group();
  const SentencePieceModel model = parse_sentencepiece_model(bytes);
  EXPECT_THAT(model.oddity, IsEmpty());
  EXPECT_EQ(model.type, SentencePieceType::kBpe);
  ASSERT_EQ(model.pieces.size(), 2U);
  EXPECT_EQ(model.pieces[0].text, "a");
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(bytes).ok());
  EXPECT_EQ(library.IdToPiece(0), "a");
}

TEST(SentencePieceModel, RefusesGroupsThatDoNotEnd) {
  const std::string rest = model_of({piece("<unk>", 2)});
  const std::string unreadable =
      "its protocol buffer cannot be read from byte " + std::to_string(rest.size()) + " on";
  EXPECT_EQ(parse_error(rest + '\x0B'), unreadable);
  EXPECT_EQ(parse_error(rest + "\x0B\x13\x0C"), unreadable);
  EXPECT_EQ(parse_error(rest + '\x0C'), unreadable);
  EXPECT_EQ(parse_error(rest + std::string(1'000'000, '\x0B')), unreadable);
}

// A model that ends between two pieces is a whole protocol buffer, but not this model.
TEST(SentencePieceModel, SeesWhereAModelIsCutOff) {
  const std::string whole = read_file(in_tree("data/sample/demo_bpe_8k_bytefallback.model"));
  const std::size_t num_pieces = parse_sentencepiece_model(whole).pieces.size();
  for (std::size_t size = 0; size < whole.size(); size += 1 + size / 50) {
    try {
      EXPECT_LT(parse_sentencepiece_model(whole.substr(0, size)).pieces.size(), num_pieces);
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()), "");
    }
  }
}

TEST(SentencePieceModel, SeesBytePiecesThatAreNotOneForEachByte) {
  std::string trainer;
  protozero::pbf_writer(trainer).add_bool(35, true);
  std::string bytes = model_of({piece("<unk>", 2), piece("<0x0A>", 6)});
  protozero::pbf_writer(bytes).add_message(2, trainer);
  EXPECT_THAT(oddity(bytes), HasSubstr("not a piece for every byte"));

  bytes = model_of({piece("<unk>", 2), piece("<0xZZ>", 6)});
  protozero::pbf_writer(bytes).add_message(2, trainer);
  EXPECT_THAT(oddity(bytes), HasSubstr("'<0xZZ>' names no byte"));
}

}  // namespace
}  // namespace penstock
