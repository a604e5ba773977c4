#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "stages/tokenizer/table_memory.h"

namespace penstock {

// A word of up to kMaxBytes bytes as a value: its bytes, zeros behind them, and in the last byte
// how many there are. So different words have different keys, and no word has the key of zeros.
template <std::size_t kNumParts>
struct WordKey {
  static constexpr std::size_t kMaxBytes = kNumParts * 8 - 1;

  std::array<std::uint64_t, kNumParts> parts{};

  // Without a branch, and without the call that the comparison of arrays makes.
  friend bool operator==(const WordKey& left, const WordKey& right) {
    std::uint64_t different = 0;
    for (std::size_t part = 0; part < kNumParts; ++part) {
      different |= left.parts[part] ^ right.parts[part];
    }
    return different == 0;
  }
};

// The key of `size` bytes at `word`, at most kMaxBytes; all bytes of the key are readable there.
template <std::size_t kNumParts>
WordKey<kNumParts> make_word_key(const char* word, std::size_t size) {
  static_assert(std::endian::native == std::endian::little);
  WordKey<kNumParts> key;
  std::memcpy(key.parts.data(), word, sizeof key);
  for (std::size_t part = 0; part < kNumParts; ++part) {
    const std::size_t used = std::min<std::size_t>(size - std::min(size, part * 8), 8);
    // A shift by all 64 bits is not defined; two shifts are.
    const std::uint64_t unused_bits = ~std::uint64_t{0} << (used * 4) << (used * 4);
    key.parts[part] &= ~unused_bits;
  }
  key.parts[kNumParts - 1] |= std::uint64_t{size} << 56U;
  return key;
}

template <std::size_t kNumParts>
std::uint32_t hash_of(const WordKey<kNumParts>& key) {
  std::uint64_t hash = 0;
  for (const std::uint64_t part : key.parts) {
    hash = (std::rotl(hash, 32) ^ part) * 0x9E3779B97F4A7C15U;
  }
  return static_cast<std::uint32_t>(hash >> 32U);
}

// Remembers what was computed for words, in a fixed amount of memory: a bucket has room for two
// words, and a new one takes the place of one that was not asked for lately. For use by one thread.
template <typename Key, typename Value>
class WordTable {
  static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>);

 public:
  using ValueType = Value;
  struct alignas(std::bit_ceil(sizeof(Key) + sizeof(Value))) Entry {
    Key key;  // all zeros where there is no word
    Value value;
  };
  struct Bucket {
    std::array<Entry, 2> entries;
  };

  // As many buckets as `bytes` have room for, and one at least.
  explicit WordTable(std::size_t bytes)
      : num_buckets_(std::clamp<std::size_t>(bytes / sizeof(Bucket), 1, UINT32_MAX)),
        memory_(num_buckets_ * sizeof(Bucket)),
        buckets_(static_cast<Bucket*>(memory_.data())) {}

  std::size_t bytes() const { return memory_.size(); }
  std::uint64_t num_buckets() const { return num_buckets_; }

  std::uint32_t index(std::uint32_t hash) const {
    return static_cast<std::uint32_t>(std::uint64_t{hash} * num_buckets_ >> 32U);
  }
  Bucket& bucket_at(std::uint32_t index) { return buckets_[index]; }
  const Bucket& bucket_at(std::uint32_t index) const { return buckets_[index]; }
  Bucket& bucket(std::uint32_t hash) { return buckets_[index(hash)]; }

  // The value of the word, or null.
  static const Value* find(const Bucket& bucket, const Key& key) {
    for (const Entry& entry : bucket.entries) {
      if (entry.key == key) {
        return &entry.value;
      }
    }
    return nullptr;
  }

  // The same for those who also use insert_behind: the word comes to the front of its bucket.
  static const Value* find_to_front(Bucket& bucket, const Key& key) {
    auto& [front, behind] = bucket.entries;
    if (!(front.key == key)) [[unlikely]] {
      if (!(behind.key == key)) {
        return nullptr;
      }
      std::swap(front, behind);
    }
    return &front.value;
  }
  // Puts a word that is not there behind the one that was asked for last.
  void insert_behind(Bucket& bucket, const Key& key, const Value& value) {
    auto& [front, behind] = bucket.entries;
    (front.key == Key{} ? front : behind) = {key, value};
  }

  // Puts a word that is not there into its bucket.
  void insert(Bucket& bucket, const Key& key, const Value& value) {
    bucket.entries[choose_place(bucket)] = {key, value};
  }

 private:
  std::size_t choose_place(const Bucket& bucket) {
    for (std::size_t place = 0; place < bucket.entries.size(); ++place) {
      if (bucket.entries[place].key == Key{}) {
        return place;
      }
    }
    return next_place_++ % bucket.entries.size();
  }

  std::size_t num_buckets_;
  TableMemory memory_;
  Bucket* buckets_;
  std::size_t next_place_ = 0;
};

}  // namespace penstock
