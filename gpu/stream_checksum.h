#pragma once

#include <cstdint>
#include <span>

#include "pipeline/chunk.h"

namespace penstock::gpu {

// A sum over (position, token) pairs that tells a lost, repeated, changed or misplaced token:
// each pair is mixed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable
// pseudorandom number generators") and the results are added modulo 2^64, so that a device can add
// them in any order. `first_position` is the place of tokens[0] in the whole stream.
std::uint64_t stream_checksum(std::span<const TokenId> tokens, std::uint64_t first_position);

}  // namespace penstock::gpu
