#include "key_table.h"

#include <algorithm>
#include <bit>

namespace {

std::uint64_t never_zero(std::uint64_t key) {
  return key == 0 ? 1 : key;
}

}  // namespace

std::size_t KeyTable::capacity_of(std::size_t memory) {
  return std::bit_floor(std::max(memory / sizeof(std::uint64_t), kBucketKeys));
}

bool KeyTable::contains(std::uint64_t key) const {
  const Bucket& bucket = buckets_[key & (buckets_.size() - 1)];
  return std::find(bucket.begin(), bucket.end(), never_zero(key)) != bucket.end();
}

bool KeyTable::add(std::uint64_t key) {
  Bucket& bucket = buckets_[key & (buckets_.size() - 1)];
  const bool forgets = bucket.back() != 0;
  std::copy_backward(bucket.begin(), bucket.end() - 1, bucket.end());
  bucket.front() = never_zero(key);
  return forgets;
}
