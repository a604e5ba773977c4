#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

// Of the bytes as they are: FNV-1a with the finaliser of SplitMix64, 64 bits.
std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed = 0);

// Gives each text `bands` keys, so that two texts share one with a probability that depends on how
// many of their shingles they share: with the Jaccard similarity J of the two sets of shingles it
// is 1 - (1 - J^rows)^bands. A shingle is `shingle_words` words in a row; words are runs of ASCII
// letters, digits and bytes beyond ASCII, in lower case.
//
// MinHash (Broder 1997, "On the resemblance and containment of documents") in bands (Leskovec,
// Rajaraman, Ullman, "Mining of massive datasets", 3.4). The bands * rows minima come from one hash
// a shingle (Li, Owen, Zhang 2012, "One permutation hashing"), empty ones filled as by Shrivastava
// 2017, "Optimal densification for fast and accurate minwise hashing". One thread at a time.
class MinHash {
 public:
  MinHash(int shingle_words, int bands, int rows)
      : shingle_words_(shingle_words), bands_(bands), rows_(rows) {}

  // Valid until the next call. Empty where there is no word. A text of fewer words than a shingle
  // has is one shingle.
  const std::vector<std::uint64_t>& keys(std::string_view text);

 private:
  void split(std::string_view text);
  void fill_minima();

  const int shingle_words_;
  const int bands_;
  const int rows_;
  std::vector<std::uint64_t> words_;   // hashes of the words, in text order
  std::vector<std::uint64_t> minima_;  // [bands, rows]
  std::vector<std::uint64_t> keys_;    // [bands]
};
