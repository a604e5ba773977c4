#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pipeline/chunk.h"
#include "stages/tokenizer/word_ids.h"
#include "stages/tokenizer/word_table.h"

namespace penstock {

// The inner loops of encoding: from cuts to words, and from words to the ids that the thread's
// table has for them. They are inlined into kernels that are compiled for each level of
// instructions.

// A part of a text, and where to look for it among the words seen before.
struct BatchWord {
  WordKey<2> key;  // of no word in a table if the word is longer than WordKey<2>::kMaxBytes
  std::uint32_t bucket = 0;
  std::uint32_t begin = 0;  // in the text
  std::uint32_t size = 0;
};

// How many places behind the last one list_cuts may write to.
inline constexpr std::size_t kSparePlaces = 15;

// Writes the positions of the set bits of `cuts` from `to` on, the first bit being `first`, and
// returns how many they are. Up to kSparePlaces behind the last one are written too.
[[gnu::always_inline]] inline std::size_t list_cuts_of(const std::uint64_t* cuts,
                                                       std::size_t num_blocks,
                                                       std::uint32_t first,
                                                       std::uint32_t* to) {
  const std::uint32_t* const begin = to;
  for (std::size_t block = 0; block < num_blocks; ++block) {
    std::uint64_t bits = cuts[block];
    std::uint32_t* const end = to + std::popcount(bits);
    const auto base = first + static_cast<std::uint32_t>(block * 64);
    // Eight at a time: a loop that ends at the last bit is hard on the branch predictor.
    while (bits != 0) {
      for (std::size_t i = 0; i < 8; ++i) {
        to[i] = base + static_cast<std::uint32_t>(std::countr_zero(bits));
        bits &= bits - 1;
      }
      to += 8;
    }
    to = end;
  }
  return static_cast<std::size_t>(to - begin);
}

// What of the 16 bytes from a word on belongs to it, and its size as it stands in the key.
struct KeyMask {
  std::array<std::uint64_t, 2> mask{};
  std::uint64_t size = 0;
};
inline constexpr std::array<KeyMask, WordKey<2>::kMaxBytes + 2> kKeyMasks = [] {
  std::array<KeyMask, WordKey<2>::kMaxBytes + 2> masks{};
  for (std::size_t size = 0; size < masks.size(); ++size) {
    masks[size].size = std::uint64_t{size} << 56U;
    for (std::size_t i = 0; i < size && size <= WordKey<2>::kMaxBytes; ++i) {
      masks[size].mask[i / 8] |= std::uint64_t{0xFF} << (i % 8 * 8);
    }
  }
  return masks;
}();

// Makes the words from begins[i] to begins[i + 1] for each i below `num_words`, and fetches their
// buckets into the cache. 16 bytes from the begin of each word on are readable.
template <typename Table>
[[gnu::always_inline]] inline void make_words(const char* text,
                                              const std::uint32_t* begins,
                                              std::size_t num_words,
                                              const Table& table,
                                              BatchWord* words) {
  for (std::size_t i = 0; i < num_words; ++i) {
    const std::uint32_t begin = begins[i];
    const std::uint32_t size = begins[i + 1] - begin;
    const KeyMask& mask = kKeyMasks[size < kKeyMasks.size() ? size : kKeyMasks.size() - 1];
    BatchWord& word = words[i];
    std::array<std::uint64_t, 2> bytes;
    std::memcpy(bytes.data(), text + begin, sizeof bytes);
    word.key.parts = {bytes[0] & mask.mask[0], (bytes[1] & mask.mask[1]) | mask.size};
    word.bucket = table.index(hash_of(word.key));
    word.begin = begin;
    word.size = size;
    __builtin_prefetch(&table.bucket_at(word.bucket));
  }
}

}  // namespace penstock
