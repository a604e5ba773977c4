#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pipeline/chunk.h"
#include "stages/tokenizer/sentencepiece_model.h"
#include "stages/tokenizer/table_memory.h"

namespace penstock {

// Knows which symbols a BPE model merges, into what and in which order. A symbol is a string that
// merging can arrive at: a piece, numbered by its id, or a character that is part of pieces without
// being one, numbered behind them. A space stands for U+2581. Immutable.
class BpeVocabulary {
 public:
  // A character that is in no piece, so that it is merged with nothing.
  static constexpr std::uint32_t kNoSymbol = 0x1FFFFF;

  struct Merge {
    std::uint32_t symbol = kNoSymbol;
    std::uint32_t rank = kNoRank;  // pairs are merged in this order, and from the left where equal
  };
  static constexpr std::uint32_t kNoRank = UINT32_MAX;
  static constexpr std::uint32_t kMaxRank = (1U << 26U) - 1;

  // The model has passed refusal().
  explicit BpeVocabulary(const SentencePieceModel& model);
  // Why merging of this model cannot be done with the tables here; nothing where it can.
  static std::string refusal(const SentencePieceModel& model);

  std::uint32_t symbol_of(char32_t character) const {
    if (character < symbol_of_character_.size()) {
      return symbol_of_character_[character];
    }
    const auto found = symbol_of_rare_character_.find(character);
    return found == symbol_of_rare_character_.end() ? kNoSymbol : found->second;
  }

  // What a pair of neighbouring symbols becomes, if anything.
  Merge merge_of(std::uint32_t left, std::uint32_t right) const {
    const std::uint64_t key = std::uint64_t{left} << kSymbolBits | right;
    const std::uint64_t hash = key * 0x9E3779B97F4A7C15U;
    const std::uint64_t bits = filter_bits(hash);
    if ((filter_[hash >> 32U & filter_mask_] & bits) != bits) {
      return {};
    }
    for (std::uint64_t slot = hash >> 20U & slot_mask_;; slot = (slot + 1) & slot_mask_) {
      const std::uint64_t entry = slots_[slot];
      if (entry >> kSymbolBits == key) {
        const auto symbol = static_cast<std::uint32_t>(entry & kSymbolMask);
        return {symbol, rank_of_symbol_[symbol]};
      }
      if (entry == kEmptySlot) {
        return {};
      }
    }
  }

  bool is_piece(std::uint32_t symbol) const { return symbol < num_pieces_; }
  // Appends what stands for a character that is no piece, and returns the end. There is room for
  // kMaxUnknownIds.
  TokenId* append_unknown(std::string_view character, TokenId* to) const;
  static constexpr std::size_t kMaxUnknownIds = 4;

  std::size_t num_pieces() const { return num_pieces_; }
  std::size_t num_symbols() const { return num_symbols_; }
  std::size_t num_merges() const { return num_merges_; }
  std::size_t table_bytes() const;

 private:
  static constexpr unsigned kSymbolBits = 21;
  static constexpr std::uint64_t kSymbolMask = (1U << kSymbolBits) - 1;
  static constexpr std::uint64_t kEmptySlot = ~std::uint64_t{0};

  static std::uint64_t filter_bits(std::uint64_t hash) {
    return std::uint64_t{1} << (hash >> 58U) | std::uint64_t{1} << (hash >> 52U & 63U);
  }
  void make_room(std::size_t num_merges);
  void add_merge(std::uint32_t left, std::uint32_t right, std::uint32_t symbol);

  std::size_t num_pieces_ = 0;
  std::size_t num_symbols_ = 0;
  std::size_t num_merges_ = 0;
  std::vector<std::uint32_t> symbol_of_character_;  // of those below U+10000
  std::unordered_map<char32_t, std::uint32_t> symbol_of_rare_character_;
  std::vector<std::uint32_t> rank_of_symbol_;
  // Says at once of most pairs that they are not merged.
  std::vector<std::uint64_t> filter_;
  std::uint64_t filter_mask_ = 0;
  // Open addressing; each slot has left, right and merged symbol.
  TableMemory slot_memory_;
  std::uint64_t* slots_ = nullptr;
  std::uint64_t slot_mask_ = 0;
  TokenId unknown_id_ = 0;
  bool byte_fallback_ = false;
  std::array<TokenId, 256> byte_ids_{};
};

}  // namespace penstock
