#include "stages/tokenizer/sentencepiece_model.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <unordered_set>

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
constexpr auto kDenormalizer = tag_and_type(5, pbf_wire_type::length_delimited);
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

// The wire types of groups, which protozero does not know.
constexpr std::uint32_t kBeginGroup = 3;
constexpr std::uint32_t kEndGroup = 4;
constexpr unsigned kWireTypeBits = 3;

std::uint32_t wire_type_of(std::uint32_t tag) {
  return tag & ((1U << kWireTypeBits) - 1);
}

// The tag of the field at the begin of `bytes`, which is taken off.
std::uint32_t take_tag(protozero::data_view& bytes) {
  const char* begin = bytes.data();
  const char* const end = bytes.data() + bytes.size();
  const auto tag = static_cast<std::uint32_t>(protozero::decode_varint(&begin, end));
  bytes = {begin, static_cast<std::size_t>(end - begin)};
  return tag;
}

// What is behind a group, whose fields begin at `bytes`. Groups may be in groups.
protozero::data_view behind_group(protozero::data_view bytes, std::uint32_t number) {
  std::vector<std::uint32_t> open = {number};
  while (!open.empty()) {
    protozero::data_view behind_tag = bytes;
    const std::uint32_t tag = take_tag(behind_tag);
    if (wire_type_of(tag) == kBeginGroup) {
      open.push_back(tag >> kWireTypeBits);
      bytes = behind_tag;
    } else if (wire_type_of(tag) == kEndGroup) {
      if (open.back() != tag >> kWireTypeBits) {
        throw protozero::invalid_tag_exception();
      }
      open.pop_back();
      bytes = behind_tag;
    } else {
      protozero::pbf_reader field(bytes);
      field.next();
      field.skip();
      bytes = field.data();
    }
  }
  return bytes;
}

// Goes on to the next field that is no group, as none of a model is. Returns whether there is one.
bool next_field(protozero::pbf_reader& message) {
  while (message.length() > 0) {
    protozero::data_view behind_tag = message.data();
    const std::uint32_t tag = take_tag(behind_tag);
    if (wire_type_of(tag) != kBeginGroup) {
      return message.next();
    }
    message = protozero::pbf_reader(behind_group(behind_tag, tag >> kWireTypeBits));
  }
  return false;
}

std::optional<PieceType> to_piece_type(std::int32_t value) {
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
      return std::nullopt;
  }
}

std::optional<SentencePieceType> to_model_type(std::int32_t value) {
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
      return std::nullopt;
  }
}

// A value without a name means nothing, as to the protobuf library; a library that is newer may
// know its name.
template <typename Enumeration>
void take(std::optional<Enumeration> value,
          const std::string& what,
          Enumeration& to,
          std::string& oddity) {
  if (value) {
    to = *value;
  } else {
    oddity = what;
  }
}

Piece read_piece(protozero::pbf_reader message, std::string& oddity) {
  Piece piece;
  while (next_field(message)) {
    switch (message.tag_and_type()) {
      case piece_field::kText:
        piece.text = message.get_string();
        break;
      case piece_field::kScore:
        piece.score = message.get_float();
        break;
      case piece_field::kType: {
        const std::int32_t type = message.get_enum();
        take(to_piece_type(type),
             "a piece has the unknown type " + std::to_string(type),
             piece.type,
             oddity);
        break;
      }
      default:
        message.skip();
        break;
    }
  }
  return piece;
}

void read_trainer(protozero::pbf_reader message, SentencePieceModel& model) {
  while (next_field(message)) {
    switch (message.tag_and_type()) {
      case trainer_field::kModelType: {
        const std::int32_t type = message.get_enum();
        take(to_model_type(type),
             "it has the unknown type " + std::to_string(type),
             model.type,
             model.oddity);
        break;
      }
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
  while (next_field(message)) {
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

// The field that `message` is at.
void read_field(protozero::pbf_reader& message, SentencePieceModel& model) {
  switch (message.tag_and_type()) {
    case model_field::kPieces:
      model.pieces.push_back(read_piece(message.get_message(), model.oddity));
      break;
    case model_field::kTrainer:
      read_trainer(message.get_message(), model);
      break;
    case model_field::kNormalizer:
      read_normalizer(message.get_message(), model.normalizer);
      break;
    case model_field::kDenormalizer:
      read_normalizer(message.get_message(), model.denormalizer);
      break;
    default:
      message.skip();
      break;
  }
}

SentencePieceModel read_model(std::string_view bytes) {
  SentencePieceModel model;
  protozero::pbf_reader message(bytes.data(), bytes.size());
  std::ptrdiff_t field_begin = 0;
  try {
    while (next_field(message)) {
      read_field(message, model);
      field_begin = message.data().data() - bytes.data();
    }
  } catch (const protozero::exception&) {
    throw std::runtime_error("its protocol buffer cannot be read from byte " +
                             std::to_string(field_begin) + " on");
  }
  return model;
}

// The value of a byte piece, "<0x0A>" for instance.
std::optional<std::uint8_t> byte_of(const std::string& piece) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (piece.size() == 6 && piece.starts_with("<0x") && piece.back() == '>') {
    const std::size_t high = kDigits.find(piece[3]);
    const std::size_t low = kDigits.find(piece[4]);
    if (high != std::string_view::npos && low != std::string_view::npos) {
      return static_cast<std::uint8_t>(high << 4U | low);
    }
  }
  return std::nullopt;
}

// The library keeps the names of pieces that stand in texts apart from those of the others.
void check_names(SentencePieceModel& model) {
  std::unordered_set<std::string_view> in_texts;
  std::unordered_set<std::string_view> others;
  for (const Piece& piece : model.pieces) {
    const bool is_in_texts = piece.type == PieceType::kNormal ||
                             piece.type == PieceType::kUserDefined ||
                             piece.type == PieceType::kUnused;
    if (piece.text.empty()) {
      model.oddity = "it has a piece without text";
    } else if (!(is_in_texts ? in_texts : others).insert(piece.text).second) {
      model.oddity = "the piece '" + piece.text + "' is there twice";
    }
  }
}

void find_unknown_id(SentencePieceModel& model) {
  const auto is_unknown = [](const Piece& piece) { return piece.type == PieceType::kUnknown; };
  const auto found = std::find_if(model.pieces.begin(), model.pieces.end(), is_unknown);
  if (found == model.pieces.end()) {
    model.oddity = "no piece stands for what is unknown";
  } else {
    model.unknown_id = static_cast<TokenId>(found - model.pieces.begin());
  }
}

void find_byte_ids(SentencePieceModel& model) {
  std::array<bool, 256> found{};
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type != PieceType::kByte) {
      continue;
    }
    const std::optional<std::uint8_t> byte = byte_of(model.pieces[id].text);
    if (!byte) {
      model.oddity = "the byte piece '" + model.pieces[id].text + "' names no byte";
      return;
    }
    model.byte_ids[*byte] = static_cast<TokenId>(id);
    found[*byte] = true;
  }
  if (std::find(found.begin(), found.end(), false) != found.end()) {
    model.oddity = "it has byte fallback, but not a piece for every byte";
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
  SentencePieceModel model = read_model(bytes);
  check_names(model);
  find_unknown_id(model);
  if (model.byte_fallback) {
    find_byte_ids(model);
  }
  return model;
}

}  // namespace penstock
