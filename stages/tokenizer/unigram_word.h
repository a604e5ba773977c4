#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "pipeline/chunk.h"

namespace penstock {

// What a Unigram encoder remembers of a word: its ids, and when they may be used. The upper bytes of
// the ids hold the rest, so that all can be written out at once.
template <std::size_t kCapacity>
class UnigramWord {
 public:
  static constexpr std::size_t kMostIds = kCapacity;
  static constexpr TokenId kLargestId = 0xFFFFFF;
  static constexpr std::uint32_t kLargestStep = 0xFF;

  UnigramWord() = default;
  // `exponent` is as in UnigramLattice::Proof, `step` what the word raises the score's bound by.
  // Where there are more ids than fit, none are kept, and the exponent is 0.
  UnigramWord(const TokenId* ids,
              std::size_t num_ids,
              int exponent,
              std::uint32_t step,
              bool has_unknown) {
    const bool fits = num_ids <= kCapacity;
    if (fits) {
      std::copy_n(ids, num_ids, words_.begin());
    }
    words_[0] |= static_cast<std::uint32_t>(fits ? num_ids : kTooMany) << kShift;
    words_[1] |= static_cast<std::uint32_t>(fits ? std::max(exponent, 0) : 0) << kShift;
    words_[2] |= step << kShift;
    words_[3] |= (has_unknown ? 1U : 0U) << kShift;
  }

  bool has_ids() const { return num_ids() != kTooMany; }
  std::size_t num_ids() const { return words_[0] >> kShift; }
  // Writes kMostIds ids, of which the first num_ids() mean something.
  void copy_ids(TokenId* out) const {
    for (std::size_t i = 0; i < kCapacity; ++i) {
      out[i] = words_[i] & kLargestId;
    }
  }
  unsigned exponent() const { return words_[1] >> kShift; }
  std::uint32_t step() const { return words_[2] >> kShift; }
  // 1 where one of the ids is the unknown one.
  std::uint32_t has_unknown() const { return words_[3] >> kShift; }

 private:
  static constexpr unsigned kShift = 24;
  static constexpr std::size_t kTooMany = 0xFF;

  std::array<std::uint32_t, kCapacity> words_{};
};

}  // namespace penstock
