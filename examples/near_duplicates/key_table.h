#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

// Remembers keys in memory of a fixed size. Keys share buckets of eight; a bucket that is full
// forgets its oldest key for each new one, so what it remembers depends on nothing but the order of
// the keys. One thread at a time.
class KeyTable {
 public:
  static constexpr std::size_t kBucketKeys = 8;

  // How many keys fit into the largest power of two of bytes within `memory`; at least a bucket's.
  static std::size_t capacity_of(std::size_t memory);

  explicit KeyTable(std::size_t memory) : buckets_(capacity_of(memory) / kBucketKeys) {}

  bool contains(std::uint64_t key) const;
  // Adds a key that is not there. Returns whether another one was forgotten for it.
  bool add(std::uint64_t key);

 private:
  using Bucket = std::array<std::uint64_t, kBucketKeys>;  // newest first; 0 is no key

  std::vector<Bucket> buckets_;
};
