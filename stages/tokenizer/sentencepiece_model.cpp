#include "stages/tokenizer/sentencepiece_model.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <stdexcept>

#include <protozero/pbf_reader.hpp>

namespace penstock {
namespace {

using protozero::pbf_wire_type;
using protozero::tag_and_type;

// The fields of sentencepiece_model.proto that encoding depends on. One of another wire type is
// unknown, as it is to the protobuf library.
namespace model_field {
constexpr auto kPieces = tag_and_type(1, pbf_wire_type::length_delimited);
constexpr auto kTrainer = tag_and_type(2, pbf_wire_type::length_delimited);
constexpr auto kNormalizer = tag_and_type(3, pbf_wire_type::length_delimited);
}  // namespace model_field
namespace piece_field {
constexpr auto kText = tag_and_type(1, pbf_wire_type::length_delimited);
constexpr auto kScore = tag_and_type(2, pbf_wire_type::fixed32);
constexpr auto kType = tag_and_type(3, pbf_wire_type::varint);
}  // namespace piece_field
namespace trainer_field {
constexpr auto kModelType = tag_and_type(3, pbf_wire_type::varint);
constexpr auto kWhitespaceAsSuffix = tag_and_type(24, pbf_wire_type::varint);
constexpr auto kByteFallback = tag_and_type(35, pbf_wire_type::varint);
}  // namespace trainer_field
namespace normalizer_field {
constexpr auto kName = tag_and_type(1, pbf_wire_type::length_delimited);
constexpr auto kCharsmap = tag_and_type(2, pbf_wire_type::length_delimited);
constexpr auto kDummyPrefix = tag_and_type(3, pbf_wire_type::varint);
constexpr auto kExtraWhitespaces = tag_and_type(4, pbf_wire_type::varint);
constexpr auto kEscapeWhitespaces = tag_and_type(5, pbf_wire_type::varint);
}  // namespace normalizer_field

PieceType to_piece_type(std::int32_t value) {
  switch (value) {
    case 1:
      return PieceType::kNormal;
    case 2:
      return PieceType::kUnknown;
    case 3:
      return PieceType::kControl;
    case 4:
      return PieceType::kUserDefined;
    case 5:
      return PieceType::kUnused;
    case 6:
      return PieceType::kByte;
    default:
      break;
  }
  throw std::runtime_error("a piece has the unknown type " + std::to_string(value));
}

SentencePieceType to_model_type(std::int32_t value) {
  switch (value) {
    case 1:
      return SentencePieceType::kUnigram;
    case 2:
      return SentencePieceType::kBpe;
    case 3:
      return SentencePieceType::kWord;
    case 4:
      return SentencePieceType::kChar;
    default:
      break;
  }
  throw std::runtime_error("the unknown model type " + std::to_string(value));
}

Piece read_piece(protozero::pbf_reader message) {
  Piece piece;
  while (message.next()) {
    switch (message.tag_and_type()) {
      case piece_field::kText:
        piece.text = message.get_string();
        break;
      case piece_field::kScore:
        piece.score = message.get_float();
        break;
      case piece_field::kType:
        piece.type = to_piece_type(message.get_enum());
        break;
      default:
        message.skip();
        break;
    }
  }
  return piece;
}

void read_trainer(protozero::pbf_reader message, SentencePieceModel& model) {
  while (message.next()) {
    switch (message.tag_and_type()) {
      case trainer_field::kModelType:
        model.type = to_model_type(message.get_enum());
        break;
      case trainer_field::kWhitespaceAsSuffix:
        model.treat_whitespace_as_suffix = message.get_uint64() != 0;
        break;
      case trainer_field::kByteFallback:
        model.byte_fallback = message.get_uint64() != 0;
        break;
      default:
        message.skip();
        break;
    }
  }
}

void read_normalizer(protozero::pbf_reader message, NormalizerSpec& spec) {
  while (message.next()) {
    switch (message.tag_and_type()) {
      case normalizer_field::kName:
        spec.name = message.get_string();
        break;
      case normalizer_field::kCharsmap:
        spec.charsmap = message.get_bytes();
        break;
      case normalizer_field::kDummyPrefix:
        spec.add_dummy_prefix = message.get_uint64() != 0;
        break;
      case normalizer_field::kExtraWhitespaces:
        spec.remove_extra_whitespaces = message.get_uint64() != 0;
        break;
      case normalizer_field::kEscapeWhitespaces:
        spec.escape_whitespaces = message.get_uint64() != 0;
        break;
      default:
        message.skip();
        break;
    }
  }
}

SentencePieceModel read_model(std::string_view bytes) {
  SentencePieceModel model;
  protozero::pbf_reader message(bytes.data(), bytes.size());
  while (message.next()) {
    switch (message.tag_and_type()) {
      case model_field::kPieces:
        model.pieces.push_back(read_piece(message.get_message()));
        break;
      case model_field::kTrainer:
        read_trainer(message.get_message(), model);
        break;
      case model_field::kNormalizer:
        read_normalizer(message.get_message(), model.normalizer);
        break;
      default:
        message.skip();
        break;
    }
  }
  return model;
}

// The value of a byte piece, "<0x0A>" for instance.
std::uint8_t byte_of(const std::string& piece) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (piece.size() == 6 && piece.starts_with("<0x") && piece.back() == '>') {
    const std::size_t high = kDigits.find(piece[3]);
    const std::size_t low = kDigits.find(piece[4]);
    if (high != std::string_view::npos && low != std::string_view::npos) {
      return static_cast<std::uint8_t>(high << 4U | low);
    }
  }
  throw std::runtime_error("the byte piece '" + piece + "' names no byte");
}

void find_unknown_id(SentencePieceModel& model) {
  const auto is_unknown = [](const Piece& piece) { return piece.type == PieceType::kUnknown; };
  const auto found = std::find_if(model.pieces.begin(), model.pieces.end(), is_unknown);
  if (found == model.pieces.end()) {
    throw std::runtime_error("no piece stands for what is unknown");
  }
  model.unknown_id = static_cast<TokenId>(found - model.pieces.begin());
}

void find_byte_ids(SentencePieceModel& model) {
  std::array<bool, 256> found{};
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == PieceType::kByte) {
      const std::uint8_t byte = byte_of(model.pieces[id].text);
      model.byte_ids[byte] = static_cast<TokenId>(id);
      found[byte] = true;
    }
  }
  if (std::find(found.begin(), found.end(), false) != found.end()) {
    throw std::runtime_error("it has byte fallback, but not a piece for every byte");
  }
}

}  // namespace

std::string to_string(SentencePieceType type) {
  switch (type) {
    case SentencePieceType::kUnigram:
      return "Unigram";
    case SentencePieceType::kBpe:
      return "BPE";
    case SentencePieceType::kWord:
      return "word";
    case SentencePieceType::kChar:
      break;
  }
  return "character";
}

SentencePieceModel parse_sentencepiece_model(std::string_view bytes) {
  SentencePieceModel model;
  try {
    model = read_model(bytes);
  } catch (const protozero::exception& error) {
    throw std::runtime_error(std::string("it is no protocol buffer, or it is damaged (") +
                             error.what() + ")");
  }
  if (model.pieces.empty()) {
    throw std::runtime_error("it has no pieces");
  }
  find_unknown_id(model);
  if (model.byte_fallback) {
    find_byte_ids(model);
  }
  return model;
}

}  // namespace penstock
