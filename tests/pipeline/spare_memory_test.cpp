#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "pipeline/chunk.h"
#include "pipeline/spare_pool.h"

namespace penstock {
namespace {

TEST(SpareMemory, GivesABufferThatWasKept) {
  SpareMemory spare;
  ByteBuffer buffer(1000);
  buffer.append("text");
  const char* memory = buffer.data();
  spare.keep(std::move(buffer));
  const ByteBuffer again = spare.take_buffer(900);
  EXPECT_EQ(again.data(), memory);
  EXPECT_EQ(again.size(), 0U);
  EXPECT_NE(spare.take_buffer(900).data(), memory);
}

TEST(SpareMemory, GivesNoBufferThatIsTooSmallOrMuchTooLarge) {
  SpareMemory spare;
  spare.keep(ByteBuffer(1000));
  EXPECT_EQ(spare.take_buffer(1001).capacity(), 1001U);
  EXPECT_EQ(spare.take_buffer(700).capacity(), 700U);
  EXPECT_EQ(spare.take_buffer(800).capacity(), 1000U);
}

TEST(SpareMemory, KeepsNothingVeryLarge) {
  SpareMemory spare;
  std::vector<TokenId> ids;
  ids.reserve(std::size_t{1} << 20);
  spare.keep(std::move(ids));
  EXPECT_EQ(spare.take_ids().capacity(), 0U);
}

TEST(SpareMemory, IsEmptyWithoutMemory) {
  SpareMemory spare;
  EXPECT_TRUE(spare.is_empty());
  spare.keep(ByteBuffer(1000));
  EXPECT_FALSE(spare.is_empty());
  EXPECT_TRUE(SpareMemory(spare).is_empty());
  const ByteBuffer buffer = spare.take_buffer(1000);
  EXPECT_TRUE(spare.is_empty());
  spare.keep(std::vector<TokenId>(100));
  EXPECT_FALSE(spare.is_empty());
}

TEST(SpareMemory, IsNotCopied) {
  TokenChunk chunk;
  std::vector<TokenId> ids(100);
  const TokenId* memory = ids.data();
  chunk.spare.keep(std::move(ids));
  TokenChunk copy = chunk;
  EXPECT_EQ(copy.spare.take_ids().capacity(), 0U);
  const std::vector<TokenId> kept = chunk.spare.take_ids();
  EXPECT_EQ(kept.data(), memory);
  EXPECT_TRUE(kept.empty());
}

TEST(SpareMemory, GoesFromOnePayloadToTheNext) {
  ByteChunk bytes;
  std::vector<TokenId> ids(100);
  const TokenId* memory = ids.data();
  bytes.spare.keep(std::move(ids));
  auto documents = continue_chunk<DocumentChunk>(bytes);
  auto tokens = continue_chunk<TokenChunk>(documents);
  EXPECT_EQ(tokens.ids.data(), memory);
  SpareMemory spare;
  release(tokens, spare);
  EXPECT_EQ(spare.take_ids().data(), memory);
}

TEST(SparePool, GivesWhatWasKeptLastAndKeepsNoMoreThanItsBound) {
  SparePool<int> pool(2);
  EXPECT_EQ(pool.take(), 0);
  pool.keep(1);
  pool.keep(2);
  pool.keep(3);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.take(), 0);
}

}  // namespace
}  // namespace penstock
