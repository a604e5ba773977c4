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

// Writes the positions of the set bits of `cuts` from `to` on, the first bit being `first`, and
// returns how many they are. Up to 7 places behind the last one are written too.
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

// A bit of the key of a word that is cut off from a run of spaces, the last of which it has.
inline constexpr std::uint64_t kAfterSpaces = std::uint64_t{1} << 63U;

template <std::size_t kNumParts>
bool is_after_spaces(const WordKey<kNumParts>& key) {
  return (key.parts[kNumParts - 1] & kAfterSpaces) != 0;
}

// Makes the words from begins[i] to begins[i + 1] for each i below `num_words`, and fetches their
// buckets into the cache. One byte before each word and 16 from its begin on are readable. The
// key of a word that is cut off between two spaces gets the bits `between_spaces`.
template <typename Table>
[[gnu::always_inline]] inline void make_words(const char* text,
                                              const std::uint32_t* begins,
                                              std::size_t num_words,
                                              std::uint64_t between_spaces,
                                              const Table& table,
                                              BatchWord* words) {
  for (std::size_t i = 0; i < num_words; ++i) {
    const std::uint32_t begin = begins[i];
    const std::uint32_t size = begins[i + 1] - begin;
    const KeyMask& mask = kKeyMasks[size < kKeyMasks.size() ? size : kKeyMasks.size() - 1];
    BatchWord& word = words[i];
    std::array<std::uint64_t, 2> bytes;
    std::memcpy(bytes.data(), text + begin, sizeof bytes);
    std::uint16_t around = 0;
    std::memcpy(&around, text + begin - 1, sizeof around);
    const std::uint64_t flags = around == 0x2020 ? between_spaces : 0;
    word.key.parts = {bytes[0] & mask.mask[0], (bytes[1] & mask.mask[1]) | mask.size | flags};
    word.bucket = table.index(hash_of(word.key));
    word.begin = begin;
    word.size = size;
    __builtin_prefetch(&table.bucket_at(word.bucket));
  }
}

// Finds the values of words, found[i] for words[i], and lists in `missing` the numbers of those
// that are not in the table; returns how many they are. One place behind the last one is written
// too.
template <typename Table>
[[gnu::always_inline]] inline std::size_t find_words(const BatchWord* words,
                                                     std::size_t num_words,
                                                     const Table& table,
                                                     const typename Table::ValueType** found,
                                                     std::uint32_t* missing) {
  std::size_t num_missing = 0;
  for (std::size_t i = 0; i < num_words; ++i) {
    const auto& entries = table.bucket_at(words[i].bucket).entries;
    const auto& key = words[i].key.parts;
    const auto differs = [&key](const auto& entry) {
      return (entry.key.parts[0] ^ key[0]) | (entry.key.parts[1] ^ key[1]);
    };
    const bool in_first = differs(entries[0]) == 0;
    const bool in_second = differs(entries[1]) == 0;
    found[i] = &entries[in_second ? 1 : 0].value;
    missing[num_missing] = static_cast<std::uint32_t>(i);
    num_missing += in_first || in_second ? 0 : 1;
  }
  return num_missing;
}

struct Emitted {
  std::size_t num_words;
  TokenId* end;  // of their ids
};

// Writes the ids of words until one of them has none here. There is room for as many as the values
// can hold.
template <typename Value>
[[gnu::always_inline]] inline Emitted emit_words(const Value* const* found,
                                                 std::size_t num_words,
                                                 TokenId* to) {
  for (std::size_t i = 0; i < num_words; ++i) {
    if (found[i]->count == 0) [[unlikely]] {
      return {i, to};
    }
    to = found[i]->append_to(to);
  }
  return {num_words, to};
}

}  // namespace penstock
