#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

}  // namespace

std::uint64_t stream_checksum(std::span<const TokenId> tokens, std::uint64_t first_position) {
  constexpr std::uint64_t kGoldenGamma = 0x9e3779b97f4a7c15ULL;
  std::uint64_t sum = 0;
  std::uint64_t place = (first_position + 1) * kGoldenGamma;
  for (const TokenId token : tokens) {
    sum += mix(place ^ (std::uint64_t{token} << 32 | token));
    place += kGoldenGamma;
  }
  return sum;
}

}  // namespace penstock::gpu
