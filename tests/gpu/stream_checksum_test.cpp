#include "gpu/stream_checksum.h"

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

std::vector<TokenId> numbers(std::size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(StreamChecksum, AddsUpOverPieces) {
  const std::vector<TokenId> tokens = numbers(1000);
  const std::uint64_t whole = stream_checksum(tokens, 0);
  for (const std::size_t cut : {0, 1, 500, 999, 1000}) {
    const std::span<const TokenId> all(tokens);
    EXPECT_EQ(stream_checksum(all.first(cut), 0) + stream_checksum(all.subspan(cut), cut), whole);
  }
}

TEST(StreamChecksum, TellsChangedLostRepeatedAndSwappedTokens) {
  const std::vector<TokenId> tokens = numbers(1000);
  const std::uint64_t whole = stream_checksum(tokens, 0);
  std::vector<TokenId> changed = tokens;
  changed[500] ^= 1;
  EXPECT_NE(stream_checksum(changed, 0), whole);
  std::vector<TokenId> lost = tokens;
  lost.erase(lost.begin() + 500);
  EXPECT_NE(stream_checksum(lost, 0), whole);
  std::vector<TokenId> repeated = tokens;
  repeated[501] = repeated[500];
  EXPECT_NE(stream_checksum(repeated, 0), whole);
  std::vector<TokenId> swapped = tokens;
  std::swap(swapped[10], swapped[900]);
  EXPECT_NE(stream_checksum(swapped, 0), whole);
}

TEST(StreamChecksum, TellsALostTokenOfIdZero) {
  const std::vector<TokenId> zeros(100, 0);
  const std::span<const TokenId> all(zeros);
  EXPECT_NE(stream_checksum(all.first(99), 0), stream_checksum(all, 0));
}

}  // namespace
}  // namespace penstock::gpu
