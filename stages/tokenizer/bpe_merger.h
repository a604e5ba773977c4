#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"
#include "stages/tokenizer/bpe_vocabulary.h"
#include "stages/tokenizer/merge_lane.h"
#include "stages/tokenizer/text_kernels.h"

namespace penstock {

// Encodes words by merging their characters: always the best pair of neighbours, the leftmost one
// of equals, as the SentencePiece library does. Words are valid UTF-8 with spaces for U+2581. For
// use by one thread.
class BpeMerger {
 public:
  // Takes `long_words` for each word of more than `long_word_bytes`, whose work space it gives
  // back. All outlive it.
  BpeMerger(const BpeVocabulary& vocabulary,
            const TextKernels& kernels,
            std::mutex& long_words,
            std::size_t long_word_bytes)
      : vocabulary_(vocabulary),
        kernels_(kernels),
        long_words_(long_words),
        long_word_bytes_(long_word_bytes) {}

  // How many words merge_some() takes at once.
  static constexpr std::size_t kSome = MergeLane::kMostLanes;

  // The ids of up to kSome words, one behind the other; ends[i] is where those of words[i] end. The
  // result is valid until the next call.
  const std::vector<TokenId>& merge_some(const std::string_view* words,
                                         std::size_t num_words,
                                         std::size_t* ends);
  // Gives back the memory of the last result.
  void forget_result() { ids_ = std::vector<TokenId>(); }

 private:
  // A part of a long word, as a link of a chain of them.
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
  using Begins = std::array<std::uint8_t, MergeLane::kMaxSymbols>;

  // Whether the word has few enough characters for a lane; they are in it then.
  bool fill(MergeLane& lane, Begins& begins, std::string_view word) const;
  void append_lane(const MergeLane& lane, const Begins& begins, std::string_view word);
  void merge_long(std::string_view word);
  void merge_chain(std::string_view word);
  void add_candidate(std::uint32_t left);
  void append_symbol(std::uint32_t symbol, std::string_view word, std::size_t begin);

  const BpeVocabulary& vocabulary_;
  const TextKernels& kernels_;
  std::mutex& long_words_;
  const std::size_t long_word_bytes_;
  std::array<MergeLane, kSome> lanes_;
  std::array<Begins, kSome> begins_;
  std::vector<Part> parts_;
  std::vector<Candidate> heap_;
  std::vector<TokenId> ids_;
};

}  // namespace penstock
