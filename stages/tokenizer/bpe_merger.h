#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"
#include "stages/tokenizer/bpe_vocabulary.h"

namespace penstock {

// Encodes a part of a text by merging its characters: always the best pair of neighbours, the
// leftmost one of equals, as the SentencePiece library does. For use by one thread.
class BpeMerger {
 public:
  // `vocabulary` outlives it.
  explicit BpeMerger(const BpeVocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // The ids of `word`, valid UTF-8 with spaces for U+2581. The result is valid until the next call.
  const std::vector<TokenId>& merge(std::string_view word);

 private:
  // A part of the word, as a link of a chain of them.
  struct Part {
    std::uint32_t symbol;
    std::uint32_t begin;  // in the word
    std::uint32_t next;
    std::uint32_t previous;
  };
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t left;  // index of the left part
    std::uint32_t left_symbol;
    std::uint32_t right_symbol;
    std::uint32_t merged;
  };

  void split(std::string_view word);
  void merge_few();
  void merge_many();
  void add_candidate(std::uint32_t left);
  void append_ids(std::string_view word);

  const BpeVocabulary& vocabulary_;
  std::vector<Part> parts_;
  std::vector<Candidate> heap_;
  std::vector<TokenId> ids_;
};

}  // namespace penstock
