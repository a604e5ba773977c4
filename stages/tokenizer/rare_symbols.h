#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stages/tokenizer/byte_trie.h"
#include "stages/tokenizer/sentencepiece_model.h"

namespace penstock {

// Finds pieces such as "<sep_0>", which hardly stand in texts but hold characters side by side that
// do, as in "(the". A SplitProof without them cuts texts in more places, and is right about all
// that are not inside one of them. Immutable.
class RareSymbols {
 public:
  struct Place {
    std::uint32_t begin;
    std::uint32_t end;
  };

  RareSymbols() = default;
  explicit RareSymbols(const SentencePieceModel& model);

  // Whether the piece is such a symbol.
  static bool has(const Piece& piece);

  // Replaces `places` by those of the symbols in the text, which is normalized, by their begins.
  void find(std::string_view text, std::vector<Place>& places) const;

  std::size_t size() const { return num_symbols_; }

 private:
  ByteTrie symbols_;
  std::string first_bytes_;
  std::size_t num_symbols_ = 0;
};

}  // namespace penstock
