#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pipeline/chunk.h"
#include "stages/tokenizer/word_batch.h"
#include "stages/tokenizer/word_ids.h"
#include "stages/tokenizer/word_table.h"

namespace penstock {

// From words to the ids that a table has for them: what the BPE engine spends most of its time in.
// Inlined into kernels that are compiled for each level of instructions.

template <typename Id>
using ShortWordTable = WordTable<WordKey<2>, WordIds<Id, 16>>;

// A word by its key, and where it is if it is in the table.
template <typename Id>
struct KeyedWord {
  WordKey<2> key;  // of no word in a table if the word is longer than WordKey<2>::kMaxBytes
  typename ShortWordTable<Id>::Bucket* bucket = nullptr;
};

// A bit of the key of a word that is cut off from a run of spaces, the last of which it has.
inline constexpr std::uint64_t kAfterSpaces = std::uint64_t{1} << 63U;

// Makes the keys of the words from begins[i] to begins[i + 1] for each i below `num_words`, and
// fetches their buckets into the cache. 16 bytes from the begin of each word on are readable, and,
// with kMarkAfterSpaces, the byte before it.
template <bool kMarkAfterSpaces, typename Id>
[[gnu::always_inline]] inline void key_words(const char* text,
                                             const std::uint32_t* begins,
                                             std::size_t num_words,
                                             ShortWordTable<Id>& table,
                                             KeyedWord<Id>* words) {
  auto* const buckets = &table.bucket_at(0);
  const std::uint64_t num_buckets = table.num_buckets();
  for (std::size_t i = 0; i < num_words; ++i) {
    const char* const word = text + begins[i];
    const std::uint32_t size = begins[i + 1] - begins[i];
    const KeyMask& mask = kKeyMasks[size < kKeyMasks.size() ? size : kKeyMasks.size() - 1];
    WordKey<2> key;
    std::memcpy(key.parts.data(), word, sizeof key);
    key.parts[0] &= mask.mask[0];
    key.parts[1] = (key.parts[1] & mask.mask[1]) | mask.size;
    if constexpr (kMarkAfterSpaces) {
      key.parts[1] |= word[-1] == ' ' && word[0] == ' ' ? kAfterSpaces : 0;
    }
    auto* const bucket = buckets + (hash_of(key) * num_buckets >> 32U);
    __builtin_prefetch(bucket);
    words[i] = {key, bucket};
  }
}

// A word that the table has no ids for, and how many ids the words before it have that it has some
// for.
struct MissingWord {
  std::uint32_t word;
  std::uint32_t num_ids;
};

struct LookedUp {
  std::size_t num_ids;
  std::size_t num_missing;
};

// Writes the ids of words one behind the other to `ids`, and lists in `missing` those that are not
// in the table or have no ids there. There is room for a whole value behind each word, and for one
// word more among the missing ones.
template <typename Id>
[[gnu::always_inline]] inline LookedUp look_up_words(const KeyedWord<Id>* words,
                                                     std::size_t num_words,
                                                     TokenId* ids,
                                                     MissingWord* missing) {
  std::size_t num_ids = 0;
  std::size_t num_missing = 0;
  for (std::size_t i = 0; i < num_words; ++i) {
    const auto& key = words[i].key;
    const auto& entries = words[i].bucket->entries;
    const bool in_first = entries[0].key == key;
    const bool in_second = entries[1].key == key;
    const WordIds<Id, 16>& value = entries[in_second ? 1 : 0].value;
    const std::size_t count = value.count & (0U - static_cast<unsigned>(in_first || in_second));
    value.copy_to(ids + num_ids);
    missing[num_missing] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(num_ids)};
    num_missing += count == 0 ? 1 : 0;
    num_ids += count;
  }
  return {num_ids, num_missing};
}

}  // namespace penstock
