#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stages/tokenizer/byte_classes.h"

namespace penstock {

// Knows where a text can be cut so that no piece of a vocabulary lies across the cut: between two
// characters that no piece holds side by side. A space stands for U+2581, in the pieces and in the
// text alike; a text must not hold U+2581 itself.
class SplitProof {
 public:
  // The pieces that may become part of the result; those that are not valid UTF-8 match no text and
  // are left out.
  explicit SplitProof(const std::vector<std::string_view>& pieces);
  // Keeps `before` and `after` together where a text has them side by side, as a piece would.
  void keep_together(char32_t before, char32_t after) { add_pair(before, after); }

  // Whether no piece holds `before` directly before `after`. May say no where yes would be true,
  // never the other way round.
  bool is_safe(char32_t before, char32_t after) const {
    const bool ascii = before < kNumAscii && after < kNumAscii;
    return ascii ? !ascii_pairs_[before][after] : !has_pair(pair_hash(before, after));
  }
  // The same for classes of bytes.
  const ByteClasses& classes() const { return classes_; }

  std::size_t num_pairs() const { return num_pairs_; }  // that pieces hold, each counted once
  // For people: between which classes of characters a text is cut, and which pieces stand in the
  // way elsewhere.
  std::string report() const;

 private:
  static constexpr std::size_t kNumAscii = 128;
  static constexpr unsigned kHashBits = 18;

  static std::uint32_t pair_hash(char32_t before, char32_t after) {
    const std::uint64_t pair = std::uint64_t{before} << 21U | after;
    const std::uint64_t mixed = pair * 0x9E3779B97F4A7C15U;
    return static_cast<std::uint32_t>((mixed ^ mixed >> 29U) * 0xBF58476D1CE4E5B9U >>
                                      (64 - kHashBits));
  }
  // The pieces that hold a character of one class directly before one of another.
  struct Obstacle {
    std::size_t num_pieces = 0;
    std::string example;
  };
  std::uint8_t class_of(char32_t character) const;
  void add_obstacle(char32_t before, char32_t after, std::string_view piece);
  bool has_pair(std::uint32_t hash) const { return (pairs_[hash / 64] >> (hash % 64) & 1U) != 0; }
  void add_pair(char32_t before, char32_t after);

  std::array<std::array<bool, kNumAscii>, kNumAscii> ascii_pairs_{};
  std::vector<std::uint64_t> pairs_;  // a bit for each hash
  ByteClasses classes_;
  std::array<std::array<Obstacle, ByteClasses::kNumClasses>, ByteClasses::kNumClasses> obstacles_;
  std::size_t num_pairs_ = 0;
};

}  // namespace penstock
