#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "pipeline/chunk.h"

namespace penstock::gpu {

// What one token at one place of the stream adds to stream_checksum(). constexpr, so that device
// code can call it.
constexpr std::uint64_t stream_checksum_term(TokenId token, std::uint64_t position) {
  constexpr std::uint64_t kGoldenGamma = 0x9e3779b97f4a7c15ULL;
  std::uint64_t value = (position + 1) * kGoldenGamma ^ (std::uint64_t{token} << 32 | token);
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

// A sum over (position, token) pairs that tells a lost, repeated, changed or misplaced token:
// each pair is mixed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable
// pseudorandom number generators") and the results are added modulo 2^64, so that a device can add
// them in any order. `first_position` is the place of tokens[0] in the whole stream.
std::uint64_t stream_checksum(std::span<const TokenId> tokens, std::uint64_t first_position);

// "0x00c0ffee00000000": how results tell it.
std::string checksum_text(std::uint64_t checksum);

}  // namespace penstock::gpu
