#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/chunk.h"

namespace penstock {

// Ids have 24 bits in a UnigramWord.
inline constexpr TokenId kLargestUnigramId = 0xFFFFFF;

// What a Unigram encoder remembers of a word: its ids, and when they may be used. The upper bytes
// of the ids hold the rest, so that all can be written out at once.
template <std::size_t kIds>
class UnigramWord {
 public:
  static constexpr std::size_t kCapacity = kIds;
  static constexpr std::uint32_t kMaxStep = 0xFF;

  UnigramWord() = default;
  // `exponent` is as in UnigramLattice::Proof, `step` what the word raises the score's bound by.
  // Where there are more ids than fit, none are kept, and the exponent is 0.
  UnigramWord(const std::vector<TokenId>& ids,
              int exponent,
              std::uint32_t step,
              TokenId unknown_id) {
    const bool fits = ids.size() <= kCapacity;
    bool has_unknown = false;
    for (std::size_t i = 0; i < ids.size() && fits; ++i) {
      words_[i] = ids[i];
      has_unknown |= ids[i] == unknown_id;
    }
    words_[0] |= static_cast<std::uint32_t>(fits ? ids.size() : kTooMany) << kShift;
    words_[1] |= static_cast<std::uint32_t>(fits ? std::max(exponent, 0) : 0) << kShift;
    words_[2] |= step << kShift;
    words_[3] |= (has_unknown ? 1U : 0U) << kShift;
  }

  bool has_ids() const { return num_ids() != kTooMany; }
  std::size_t num_ids() const { return words_[0] >> kShift; }
  // Writes kCapacity ids, of which the first num_ids() mean something.
  void copy_to(TokenId* out) const {
    for (std::size_t i = 0; i < kCapacity; ++i) {
      out[i] = words_[i] & kLargestUnigramId;
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
