#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipeline/chunk.h"
#include "stages/tokenizer/pair_table.h"
#include "stages/tokenizer/sentencepiece_model.h"

namespace penstock {

// Knows which symbols a BPE model merges, into what and in which order. A symbol is a string that
// merging can arrive at: a piece, numbered from the best score down, or a character that is part of
// pieces without being one, numbered behind them. A space stands for U+2581. Immutable.
class BpeVocabulary {
 public:
  // The model has passed refusal().
  explicit BpeVocabulary(const SentencePieceModel& model);
  // Why merging of this model cannot be done with the tables here; nothing where it can.
  static std::string refusal(const SentencePieceModel& model);

  // PairTable::kNoSymbol for a character that is in no piece.
  std::uint32_t symbol_of(char32_t character) const {
    if (character < symbol_of_character_.size()) {
      return symbol_of_character_[character];
    }
    const auto found = symbol_of_rare_character_.find(character);
    return found == symbol_of_rare_character_.end() ? PairTable::kNoSymbol : found->second;
  }
  const PairTable& pairs() const { return pairs_; }

  bool is_piece(std::uint32_t symbol) const { return symbol < id_of_symbol_.size(); }
  TokenId id_of(std::uint32_t symbol) const { return id_of_symbol_[symbol]; }
  // Appends what stands for a character that is no piece, and returns the end. There is room for
  // kMaxUnknownIds.
  TokenId* append_unknown(std::string_view character, TokenId* to) const;
  static constexpr std::size_t kMaxUnknownIds = 4;

  std::size_t num_pieces() const { return num_pieces_; }  // of every type
  std::size_t num_symbols() const { return num_symbols_; }
  std::size_t table_bytes() const;

 private:
  std::size_t num_pieces_ = 0;
  std::size_t num_symbols_ = 0;
  std::vector<TokenId> id_of_symbol_;
  std::vector<std::uint32_t> symbol_of_character_;  // of those below U+10000
  std::unordered_map<char32_t, std::uint32_t> symbol_of_rare_character_;
  PairTable pairs_;
  TokenId unknown_id_ = 0;
  bool byte_fallback_ = false;
  std::array<TokenId, 256> byte_ids_{};
};

}  // namespace penstock
