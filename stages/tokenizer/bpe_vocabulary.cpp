#include "stages/tokenizer/bpe_vocabulary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <unordered_set>

#include "pipeline/utf8.h"
#include "stages/tokenizer/piece_text.h"
#include "stages/tokenizer/utf8_decoding.h"

namespace penstock {
namespace {

// Whether merging can arrive at the piece: user-defined symbols are found before, a text has no
// spaces left, and is valid UTF-8.
bool can_be_merged(const Piece& piece) {
  return piece.type == PieceType::kNormal && piece.text.find(' ') == std::string::npos &&
         is_utf8(piece.text);
}

bool is_one_character(std::string_view text) {
  return first_utf8_character(text).length == text.size();
}

using SymbolNumbers = std::unordered_map<std::string, std::uint32_t>;

// Pieces that can be merged by their id, and then every other character of them.
SymbolNumbers number_symbols(const SentencePieceModel& model) {
  SymbolNumbers numbers;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (can_be_merged(model.pieces[id])) {
      numbers.emplace(with_spaces(model.pieces[id].text), static_cast<std::uint32_t>(id));
    }
  }
  auto next = static_cast<std::uint32_t>(model.pieces.size());
  for (const Piece& piece : model.pieces) {
    if (!can_be_merged(piece)) {
      continue;
    }
    const std::string text = with_spaces(piece.text);
    for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
      if (numbers.emplace(text.substr(at, utf8_length(text[at])), next).second) {
        ++next;
      }
    }
  }
  return numbers;
}

}  // namespace

std::string BpeVocabulary::refusal(const SentencePieceModel& model) {
  std::unordered_set<std::string_view> reserved;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kUnused) {
      return "the piece '" + piece.text +
             "' is marked as unused, and what it is split into depends on the whole text";
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
  if (number_symbols(model).size() + model.pieces.size() >= kNoSymbol) {
    return "it has more than two million pieces and characters";
  }
  return {};
}

BpeVocabulary::BpeVocabulary(const SentencePieceModel& model)
    : num_pieces_(model.pieces.size()),
      symbol_of_character_(0x10000, kNoSymbol),
      unknown_id_(model.unknown_id),
      byte_fallback_(model.byte_fallback),
      byte_ids_(model.byte_ids) {
  const SymbolNumbers numbers = number_symbols(model);
  for (const auto& [text, number] : numbers) {
    num_symbols_ = std::max<std::size_t>(num_symbols_, number + 1);
    if (is_one_character(text)) {
      const char32_t character = decode_utf8(text.data());
      if (character < symbol_of_character_.size()) {
        symbol_of_character_[character] = number;
      } else {
        symbol_of_rare_character_.emplace(character, number);
      }
    }
  }

  std::vector<float> scores;
  for (const Piece& piece : model.pieces) {
    scores.push_back(piece.score);
  }
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  for (const Piece& piece : model.pieces) {
    const auto place =
        std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>());
    rank_of_symbol_.push_back(static_cast<std::uint32_t>(place - scores.begin()));
  }

  // Every way to put a piece together out of two symbols.
  const auto for_each_merge = [&](const auto& use) {
    for (std::size_t id = 0; id < model.pieces.size(); ++id) {
      if (!can_be_merged(model.pieces[id])) {
        continue;
      }
      const std::string text = with_spaces(model.pieces[id].text);
      for (std::size_t at = utf8_length(text[0]); at < text.size(); at += utf8_length(text[at])) {
        const auto left = numbers.find(text.substr(0, at));
        const auto right = numbers.find(text.substr(at));
        if (left != numbers.end() && right != numbers.end()) {
          use(left->second, right->second, static_cast<std::uint32_t>(id));
        }
      }
    }
  };
  for_each_merge([this](std::uint32_t, std::uint32_t, std::uint32_t) { ++num_merges_; });
  make_room(num_merges_);
  for_each_merge([this](std::uint32_t left, std::uint32_t right, std::uint32_t symbol) {
    add_merge(left, right, symbol);
  });
}

void BpeVocabulary::make_room(std::size_t num_merges) {
  const std::size_t num_slots = std::bit_ceil(std::max<std::size_t>(2 * num_merges, 2));
  slot_memory_ = TableMemory(num_slots * sizeof(std::uint64_t));
  slots_ = static_cast<std::uint64_t*>(slot_memory_.data());
  std::fill_n(slots_, num_slots, kEmptySlot);
  slot_mask_ = num_slots - 1;
  filter_.assign(std::bit_ceil(num_merges / 8 + 1), 0);
  filter_mask_ = filter_.size() - 1;
}

void BpeVocabulary::add_merge(std::uint32_t left, std::uint32_t right, std::uint32_t symbol) {
  const std::uint64_t key = std::uint64_t{left} << kSymbolBits | right;
  const std::uint64_t hash = key * 0x9E3779B97F4A7C15U;
  filter_[hash >> 32U & filter_mask_] |= filter_bits(hash);
  std::uint64_t slot = hash >> 20U & slot_mask_;
  while (slots_[slot] != kEmptySlot) {
    slot = (slot + 1) & slot_mask_;
  }
  slots_[slot] = key << kSymbolBits | symbol;
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
  return slot_memory_.size() + sizeof(std::uint64_t) * filter_.size() +
         sizeof(std::uint32_t) * (symbol_of_character_.size() + rank_of_symbol_.size());
}

}  // namespace penstock
