#include "stages/tokenizer/bpe_vocabulary.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "pipeline/utf8.h"
#include "stages/tokenizer/piece_text.h"
#include "stages/tokenizer/utf8_decoding.h"

namespace penstock {
namespace {

// A piece is cut in two in every place, and both parts are looked for.
constexpr std::size_t kLongestPiece = 1023;
constexpr std::size_t kMostBytesOfParts = std::size_t{1} << 31U;

// Whether merging can arrive at the piece: user-defined symbols are found before, a text has no
// spaces left, and is valid UTF-8.
bool can_be_merged(const Piece& piece) {
  return piece.type == PieceType::kNormal && piece.text.find(' ') == std::string::npos &&
         is_utf8(piece.text);
}

bool is_one_character(std::string_view text) {
  return first_utf8_character(text).length == text.size();
}

// Ids of the pieces that can be merged, from the best score down.
std::vector<TokenId> ids_by_score(const SentencePieceModel& model) {
  std::vector<TokenId> ids;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (can_be_merged(model.pieces[id])) {
      ids.push_back(static_cast<TokenId>(id));
    }
  }
  std::stable_sort(ids.begin(), ids.end(), [&model](TokenId a, TokenId b) {
    return model.pieces[a].score > model.pieces[b].score;
  });
  return ids;
}

using SymbolNumbers = std::unordered_map<std::string, std::uint32_t>;

// The pieces in this order, and then every other character of them.
SymbolNumbers number_symbols(const SentencePieceModel& model, const std::vector<TokenId>& ids) {
  SymbolNumbers numbers;
  for (const TokenId id : ids) {
    const auto number = static_cast<std::uint32_t>(numbers.size());
    numbers.emplace(with_spaces(model.pieces[id].text), number);
  }
  for (const TokenId id : ids) {
    const std::string text = with_spaces(model.pieces[id].text);
    for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
      const auto number = static_cast<std::uint32_t>(numbers.size());
      numbers.emplace(text.substr(at, utf8_length(text[at])), number);
    }
  }
  return numbers;
}

// Every way to put a piece together out of two symbols.
std::vector<PairTable::Pair> pairs_of_symbols(const SentencePieceModel& model,
                                              const std::vector<TokenId>& ids,
                                              const SymbolNumbers& numbers) {
  std::vector<PairTable::Pair> pairs;
  for (std::uint32_t symbol = 0; symbol < ids.size(); ++symbol) {
    const std::string text = with_spaces(model.pieces[ids[symbol]].text);
    for (std::size_t at = utf8_length(text[0]); at < text.size(); at += utf8_length(text[at])) {
      const auto left = numbers.find(text.substr(0, at));
      const auto right = numbers.find(text.substr(at));
      if (left != numbers.end() && right != numbers.end()) {
        pairs.push_back({left->second, right->second, symbol});
      }
    }
  }
  return pairs;
}

// Pieces of equal scores have the number of the first of them.
std::vector<std::uint32_t> ranks(const SentencePieceModel& model, const std::vector<TokenId>& ids) {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t symbol = 0; symbol < ids.size(); ++symbol) {
    const bool tied =
        symbol > 0 && model.pieces[ids[symbol]].score == model.pieces[ids[symbol - 1]].score;
    ranks.push_back(tied ? ranks.back() : symbol);
  }
  return ranks;
}

}  // namespace

std::string BpeVocabulary::refusal(const SentencePieceModel& model) {
  std::unordered_set<std::string_view> reserved;
  std::size_t bytes_of_parts = 0;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kUnused) {
      return "the piece '" + piece.text +
             "' is marked as unused, and what it is split into depends on the whole text";
    }
    if (piece.type == PieceType::kNormal) {
      bytes_of_parts += piece.text.size() * piece.text.size();
    }
    if (piece.type == PieceType::kNormal && piece.text.size() > kLongestPiece) {
      return "a piece has " + std::to_string(piece.text.size()) + " bytes, more than " +
             std::to_string(kLongestPiece) + ", and what it is merged from takes too long to find";
    }
    if (std::isnan(piece.score)) {
      return "the score of the piece '" + piece.text + "' is not a number";
    }
    if (piece.type != PieceType::kNormal && piece.type != PieceType::kUserDefined) {
      reserved.insert(piece.text);
      if (is_one_character(piece.text)) {
        return "the reserved piece '" + piece.text + "' is a single character";
      }
    }
  }
  for (const Piece& piece : model.pieces) {
    const bool in_texts = piece.type == PieceType::kNormal || piece.type == PieceType::kUserDefined;
    if (in_texts && reserved.contains(piece.text)) {
      return "the piece '" + piece.text + "' has the name of a reserved one";
    }
  }
  if (bytes_of_parts > kMostBytesOfParts) {
    return "its pieces are so long that what they are merged from takes too long to find";
  }
  if (number_symbols(model, ids_by_score(model)).size() >= PairTable::kNoSymbol) {
    return "it has more than two million pieces and characters";
  }
  return {};
}

BpeVocabulary::BpeVocabulary(const SentencePieceModel& model)
    : num_pieces_(model.pieces.size()),
      id_of_symbol_(ids_by_score(model)),
      symbol_of_character_(0x10000, PairTable::kNoSymbol),
      unknown_id_(model.unknown_id),
      byte_fallback_(model.byte_fallback),
      byte_ids_(model.byte_ids) {
  const SymbolNumbers numbers = number_symbols(model, id_of_symbol_);
  num_symbols_ = numbers.size();
  for (const auto& [text, number] : numbers) {
    if (is_one_character(text)) {
      const char32_t character = decode_utf8(text.data());
      if (character < symbol_of_character_.size()) {
        symbol_of_character_[character] = number;
      } else {
        symbol_of_rare_character_.emplace(character, number);
      }
    }
  }
  pairs_ = PairTable(pairs_of_symbols(model, id_of_symbol_, numbers), ranks(model, id_of_symbol_));
}

TokenId* BpeVocabulary::append_unknown(std::string_view character, TokenId* to) const {
  if (!byte_fallback_) {
    *to++ = unknown_id_;
    return to;
  }
  for (const char byte : character == " " ? kSpaceSymbol : character) {
    *to++ = byte_ids_[static_cast<unsigned char>(byte)];
  }
  return to;
}

std::size_t BpeVocabulary::table_bytes() const {
  return pairs_.bytes() +
         sizeof(std::uint32_t) * (symbol_of_character_.size() + id_of_symbol_.size());
}

}  // namespace penstock
