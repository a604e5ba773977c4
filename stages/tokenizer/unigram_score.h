#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "pipeline/chunk.h"
#include "stages/tokenizer/unigram_lattice.h"

namespace penstock {

// Follows the score that the SentencePiece library has when it comes to a word of a document: a
// bound of its magnitude at any time, which costs an addition a word, and the score itself when it
// is asked for, by adding up what the ids since the last time stand for. For use by one thread.
class UnigramScore {
 public:
  // The bound holds for at most so many pieces behind a call of `exact`.
  static constexpr std::size_t kMostPieces = std::size_t{1} << 18U;
  // What the bound is above the score's own magnitude, for the scores inside the next word.
  static constexpr std::uint32_t kSlack = 1024;

  explicit UnigramScore(const UnigramLattice& lattice) : lattice_(lattice) {}

  void begin_document() { set(0, 0); }

  // Whether no float that the library computes in a word that begins here can reach 2^exponent in
  // magnitude, where no path in the word has a score of more than kSlack, rounding included; or of
  // more than `deepest`.
  bool is_below(unsigned exponent) const { return is_below(bound_, exponent); }
  static bool is_below(std::uint64_t bound, unsigned exponent) { return bound >> exponent == 0; }
  bool is_below(unsigned exponent, std::uint64_t deepest) const {
    return (bound_ - kSlack + deepest) >> exponent == 0;
  }
  // `score` and what it may be off by through the rounding of sums, up to one for each of the
  // word's bytes, where exponents are UnigramLattice::kLargestExponent at most.
  static std::uint64_t deepest_of(double score, std::size_t num_bytes) {
    return static_cast<std::uint64_t>(std::ceil(score)) + num_bytes + 1;
  }
  // What to add to the bound for a word whose pieces' scores have the magnitude `sum` in all.
  static std::uint64_t step_of(double sum) {
    return static_cast<std::uint64_t>(std::ceil(sum * kGrowth));
  }
  void raise_bound(std::uint64_t step) { bound_ += step; }
  std::uint64_t bound() const { return bound_; }
  void set_bound(std::uint64_t bound) { bound_ = bound; }

  // Whether the bound may soon stand for more pieces than it can, where there are `size` ids now.
  bool is_due(std::size_t size) const { return size - size_ > kMostPieces / 2; }

  // The library's score behind the first `size` of the document's ids, all that there are; unknown
  // characters have one each.
  float exact(const TokenId* ids, std::size_t size);
  // Says that it is `score` behind `size` ids.
  void set(float score, std::size_t size);

 private:
  // Covers the rounding of kMostPieces sums, see docs/tokenizer.md.
  static constexpr double kGrowth = 33.0 / 32;

  const UnigramLattice& lattice_;
  std::uint64_t bound_ = kSlack;
  float score_ = 0;
  std::size_t size_ = 0;  // how many ids it stands behind
};

}  // namespace penstock
