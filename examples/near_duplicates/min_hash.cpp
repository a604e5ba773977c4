#include "min_hash.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace {

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kOffsetBasis = 0xcbf29ce484222325ULL;
constexpr std::uint64_t kPrime = 0x100000001b3ULL;

std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

// A number below `size`, from the upper half of `hash`.
std::size_t place(std::uint64_t hash, std::size_t size) {
  return static_cast<std::size_t>((hash >> 32) * size >> 32);
}

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

bool is_of_word(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & 0x80) != 0;
}

}  // namespace

std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  std::uint64_t hash = kOffsetBasis ^ seed;
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * kPrime;
  }
  return mix(hash);
}

const std::vector<std::uint64_t>& MinHash::keys(std::string_view text) {
  keys_.clear();
  split(text);
  if (words_.empty()) {
    return keys_;
  }
  fill_minima();
  const auto rows = static_cast<std::size_t>(rows_);
  for (std::size_t band = 0; band < static_cast<std::size_t>(bands_); ++band) {
    std::uint64_t key = mix(band);
    for (std::size_t row = 0; row < rows; ++row) {
      key = mix(key ^ minima_[band * rows + row]);
    }
    keys_.push_back(key);
  }
  return keys_;
}

void MinHash::split(std::string_view text) {
  words_.clear();
  std::uint64_t hash = kOffsetBasis;
  bool is_in_word = false;
  for (const char c : text) {
    if (is_of_word(c)) {
      const char lower = is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
      hash = (hash ^ static_cast<unsigned char>(lower)) * kPrime;
      is_in_word = true;
    } else if (is_in_word) {
      words_.push_back(mix(hash));
      hash = kOffsetBasis;
      is_in_word = false;
    }
  }
  if (is_in_word) {
    words_.push_back(mix(hash));
  }
}

void MinHash::fill_minima() {
  const std::size_t size = static_cast<std::size_t>(bands_) * static_cast<std::size_t>(rows_);
  const std::size_t shingle = std::min(words_.size(), static_cast<std::size_t>(shingle_words_));
  minima_.assign(size, kNone);
  for (std::size_t begin = 0; begin + shingle <= words_.size(); ++begin) {
    std::uint64_t hash = 0;
    for (std::size_t i = 0; i < shingle; ++i) {
      hash = mix(hash ^ words_[begin + i]);
    }
    std::uint64_t& minimum = minima_[place(hash, size)];
    minimum = std::min(minimum, hash);
  }
  // An empty place takes what stands in one that is drawn for it, the same in every text.
  const std::vector<std::uint64_t> found = minima_;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::uint64_t draw = 0; minima_[i] == kNone; ++draw) {
      minima_[i] = found[place(mix(i << 32 | draw), size)];
    }
  }
}
