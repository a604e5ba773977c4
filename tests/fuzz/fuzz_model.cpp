// Changes SentencePiece models of the repository and compares the ids of a fast engine that takes
// the result with those of the library. An input is a model, what is changed in it, how the engine
// is made, and a text. See CONTRIBUTING.md.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <fuzzer/FuzzedDataProvider.h>
#include <sentencepiece_processor.h>

#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/library_danger.h"
#include "stages/tokenizer/model_file.h"
#include "stages/tokenizer/text_kernels.h"
#include "tests/fuzz/model_paths.h"
#include "tests/stages/tokenizer/charsmap_writer.h"
#include "tests/stages/tokenizer/model_writer.h"

namespace penstock {
namespace {

using testing::CharsmapWriter;
using testing::ModelWriter;
using testing::PieceTypeNumber;

// Small enough that a model is loaded a few hundred times a second.
constexpr std::size_t kMostNormalPieces = 100;
constexpr int kMostChanges = 24;
constexpr std::size_t kLongestNewText = 12;
constexpr std::size_t kMostTextBytes = 5000;

// Rules of a few characters, some of which begin others.
std::string small_charsmap() {
  return CharsmapWriter(CharsmapWriter::Rules{{"A", "a"},
                                              {"e\xCC\x81", "\xC3\xA9"},
                                              {"e\xCC\x81\xCC\x81", "ee"},
                                              {"\t", " "},
                                              {"\xC2\xA0", " "},
                                              {"\xE2\x80\xA6", "..."},
                                              {"\xE2\x80\x8B", ""},
                                              {"\xEF\xBC\xA1", "A"},
                                              {"..", " .  "}})
      .bytes();
}

// The model with some of its normal pieces, evenly taken, and without rules or with few.
SentencePieceModel make_smaller(SentencePieceModel model) {
  const auto is_normal = [](const Piece& piece) { return piece.type == PieceType::kNormal; };
  const auto num_normal =
      static_cast<std::size_t>(std::count_if(model.pieces.begin(), model.pieces.end(), is_normal));
  const std::size_t step = num_normal / kMostNormalPieces + 1;
  std::size_t number = 0;
  std::erase_if(model.pieces,
                [&](const Piece& piece) { return is_normal(piece) && number++ % step != 0; });
  if (!model.normalizer.charsmap.empty()) {
    model.normalizer.charsmap = small_charsmap();
  }
  return model;
}

std::vector<SentencePieceModel> make_models() {
  std::vector<SentencePieceModel> models;
  for (const std::string& path : model_paths()) {
    SentencePieceModel model = parse_sentencepiece_model(read_model_file(path));
    if (model.type == SentencePieceType::kBpe || model.type == SentencePieceType::kUnigram) {
      models.push_back(make_smaller(std::move(model)));
    }
  }
  return models;
}

Piece& some_piece(FuzzedDataProvider& input, SentencePieceModel& model) {
  return model.pieces[input.ConsumeIntegralInRange<std::size_t>(0, model.pieces.size() - 1)];
}

void change_score(FuzzedDataProvider& input, SentencePieceModel& model) {
  Piece& piece = some_piece(input, model);
  const float other = some_piece(input, model).score;
  switch (input.ConsumeIntegralInRange(0, 3)) {
    case 0:
      piece.score = other;
      break;
    case 1:
      piece.score = std::nextafter(other, 0.0F);
      break;
    case 2:
      piece.score += other;
      break;
    default:
      piece.score = input.ConsumeFloatingPoint<float>();
      break;
  }
}

void change_text(FuzzedDataProvider& input, SentencePieceModel& model) {
  Piece& piece = some_piece(input, model);
  const std::string other = some_piece(input, model).text;
  switch (input.ConsumeIntegralInRange(0, 3)) {
    case 0:
      piece.text = other + piece.text.substr(0, kLongestNewText);
      break;
    case 1:
      piece.text = other.substr(0, other.size() / 2);
      break;
    case 2:
      piece.text += input.ConsumeBool() ? "\xE2\x96\x81" : " ";
      break;
    default:
      piece.text = input.ConsumeRandomLengthString(kLongestNewText);
      break;
  }
}

void change_flags(FuzzedDataProvider& input, SentencePieceModel& model) {
  model.byte_fallback = input.ConsumeBool();
  model.treat_whitespace_as_suffix = input.ConsumeBool();
  model.normalizer.add_dummy_prefix = input.ConsumeBool();
  model.normalizer.remove_extra_whitespaces = input.ConsumeBool();
  model.normalizer.charsmap = input.ConsumeBool() ? small_charsmap() : "";
}

void change_charsmap(FuzzedDataProvider& input, SentencePieceModel& model) {
  std::string& charsmap = model.normalizer.charsmap;
  if (charsmap.empty()) {
    return;
  }
  const auto at = input.ConsumeIntegralInRange<std::size_t>(0, charsmap.size() - 1);
  if (input.ConsumeBool()) {
    charsmap[at] = input.ConsumeIntegral<char>();
  } else {
    charsmap.resize(at);
  }
}

void change(FuzzedDataProvider& input, SentencePieceModel& model) {
  switch (input.ConsumeIntegralInRange(0, 6)) {
    case 0:
    case 1:
      change_score(input, model);
      break;
    case 2:
    case 3:
      change_text(input, model);
      break;
    case 4:
      some_piece(input, model).type = static_cast<PieceType>(input.ConsumeIntegralInRange(0, 5));
      break;
    case 5:
      change_flags(input, model);
      break;
    default:
      change_charsmap(input, model);
      break;
  }
}

PieceTypeNumber number_of(PieceType type) {
  switch (type) {
    case PieceType::kNormal:
      return testing::kNormal;
    case PieceType::kUnknown:
      return testing::kUnknown;
    case PieceType::kControl:
      return testing::kControl;
    case PieceType::kUserDefined:
      return testing::kUserDefined;
    case PieceType::kByte:
      return testing::kByte;
    case PieceType::kUnused:
      break;
  }
  return testing::kUnused;
}

std::string bytes_of(const SentencePieceModel& model) {
  ModelWriter writer;
  for (const Piece& piece : model.pieces) {
    writer.add_piece(piece.text, piece.score, number_of(piece.type));
  }
  return writer.finish({.type = model.type == SentencePieceType::kBpe ? 2 : 1,
                        .byte_fallback = model.byte_fallback,
                        .dummy_prefix = model.normalizer.add_dummy_prefix,
                        .whitespace_as_suffix = model.treat_whitespace_as_suffix,
                        .remove_extra_whitespaces = model.normalizer.remove_extra_whitespaces,
                        .charsmap = model.normalizer.charsmap});
}

// ASCII stands for itself, other bytes for pieces.
std::string make_text(FuzzedDataProvider& input, const SentencePieceModel& model) {
  std::string text;
  for (const std::uint8_t byte : input.ConsumeRemainingBytes<std::uint8_t>()) {
    if (byte < 0x80) {
      text += static_cast<char>(byte);
    } else {
      text += model.pieces[model.pieces.size() * (byte - 0x80U) / 0x80U].text;
    }
  }
  return text.substr(0, kMostTextBytes);
}

class LibraryEncoder final : public Encoder {
 public:
  explicit LibraryEncoder(const sentencepiece::SentencePieceProcessor& library)
      : library_(library) {}
  void encode(std::string_view text, std::vector<TokenId>& ids) override {
    const std::vector<int> encoded = library_.EncodeAsIds(text);
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }

 private:
  const sentencepiece::SentencePieceProcessor& library_;
};

bool load(sentencepiece::SentencePieceProcessor& library, const std::string& bytes) {
  try {
    return library.LoadFromSerializedProto(bytes).ok();
  } catch (const std::exception&) {
    return false;
  }
}

void compare(FuzzedDataProvider& input, SentencePieceModel model) {
  static const std::vector<std::string> levels = simd_levels();
  const int num_changes = input.ConsumeIntegralInRange(0, kMostChanges);
  for (int i = 0; i < num_changes; ++i) {
    change(input, model);
  }
  const std::string level = input.PickValueInArray({levels.front(), levels.back()});
  const auto cache_bytes = input.PickValueInArray<std::size_t>({0, 2000, 100'000});
  const std::string text = make_text(input, model);
  const std::string bytes = bytes_of(model);
  model = parse_sentencepiece_model(bytes);
  sentencepiece::SentencePieceProcessor library;
  if (!library_danger(model).empty() || !load(library, bytes)) {
    return;
  }
  const std::vector<int> expected = library.EncodeAsIds(text);
  const FastEngineResult fast = make_fast_engine(model, level);
  if (!fast.engine) {
    return;
  }
  const auto encoder =
      fast.engine->make_encoder(std::make_unique<LibraryEncoder>(library), cache_bytes);
  for (int i = 0; i < 2; ++i) {
    std::vector<TokenId> ids;
    encoder->encode(text, ids);
    if (!std::equal(ids.begin(), ids.end(), expected.begin(), expected.end(), [](TokenId a, int b) {
          return static_cast<int>(a) == b;
        })) {
      std::fprintf(stderr, "other ids than the library's\n");
      std::abort();
    }
  }
}

}  // namespace
}  // namespace penstock

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<penstock::SentencePieceModel> models = penstock::make_models();
  FuzzedDataProvider input(data, size);
  penstock::compare(input, models[input.ConsumeIntegralInRange<std::size_t>(0, models.size() - 1)]);
  return 0;
}
