#pragma once

#include <cstdint>

namespace penstock::gpu {

// The counter-based generator Philox4x32 with 10 rounds: a random function of (key, counter), with
// no state. constexpr, so that device code can call it. Salmon, Moraes, Dror, Shaw 2011, "Parallel
// random numbers: as easy as 1, 2, 3".
struct PhiloxBlock {
  std::uint32_t words[4];
};

constexpr PhiloxBlock philox4x32_10(PhiloxBlock counter, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter.words[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter.words[2];
    counter = {{static_cast<std::uint32_t>(product1 >> 32) ^ counter.words[1] ^ key0,
                static_cast<std::uint32_t>(product1),
                static_cast<std::uint32_t>(product0 >> 32) ^ counter.words[3] ^ key1,
                static_cast<std::uint32_t>(product0)}};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return counter;
}

// The block of 128 random bits for (seed, counter). `stream` tells independent uses of one seed
// apart.
constexpr PhiloxBlock philox_block(std::uint64_t seed,
                                   std::uint64_t counter,
                                   std::uint32_t stream) {
  return philox4x32_10(
      {{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), stream, 0}},
      static_cast<std::uint32_t>(seed),
      static_cast<std::uint32_t>(seed >> 32));
}

// Its first 64 bits.
constexpr std::uint64_t philox(std::uint64_t seed, std::uint64_t counter, std::uint32_t stream) {
  const PhiloxBlock block = philox_block(seed, counter, stream);
  return std::uint64_t{block.words[1]} << 32 | block.words[0];
}

// floor(random * bound / 2^64): a number below `bound` (0 if that is 0), uniform where `random` is.
// __umul64hi of CUDA.
constexpr std::uint64_t uniform_below(std::uint64_t random, std::uint64_t bound) {
  constexpr std::uint64_t kLow = 0xFFFFFFFF;
  const std::uint64_t low = (random & kLow) * (bound & kLow);
  const std::uint64_t middle = (random >> 32) * (bound & kLow) + (low >> 32);
  const std::uint64_t other_middle = (random & kLow) * (bound >> 32) + (middle & kLow);
  return (random >> 32) * (bound >> 32) + (middle >> 32) + (other_middle >> 32);
}

}  // namespace penstock::gpu
