#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"

namespace penstock {

enum class PieceType { kNormal, kUnknown, kControl, kUserDefined, kByte, kUnused };
enum class SentencePieceType { kUnigram, kBpe, kWord, kChar };
std::string to_string(SentencePieceType type);

struct Piece {
  std::string text;  // spaces as U+2581, as it stands in the model
  float score = 0;
  PieceType type = PieceType::kNormal;
};

// What a model does to a text before it looks for pieces.
struct NormalizerSpec {
  std::string name;
  std::string charsmap;  // precompiled_charsmap; empty where characters stay as they are
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// A SentencePiece model file (ModelProto) as plain values, with the defaults of
// sentencepiece_model.proto for what it leaves out.
struct SentencePieceModel {
  SentencePieceType type = SentencePieceType::kUnigram;
  std::vector<Piece> pieces;  // by id
  TokenId unknown_id = 0;
  bool byte_fallback = false;
  std::array<TokenId, 256> byte_ids{};  // of each byte; only with byte_fallback
  bool treat_whitespace_as_suffix = false;
  NormalizerSpec normalizer;
  NormalizerSpec denormalizer;  // what decoding does to a text at the end
  // What the library makes of the model may be something else than what is here, or nothing at all,
  // because of this. Empty for a model as they should be.
  std::string oddity;
};

// Reads the bytes of a model file. Throws std::runtime_error with the reason where they are no
// protocol buffer.
SentencePieceModel parse_sentencepiece_model(std::string_view bytes);

}  // namespace penstock
