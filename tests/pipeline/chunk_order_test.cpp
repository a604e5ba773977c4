#include "pipeline/chunk_order.h"

#include <algorithm>
#include <random>
#include <stdexcept>

#include <gtest/gtest.h>

namespace penstock {
namespace {

ChunkMessage message(int lane, std::int64_t index, bool last = false) {
  auto chunk = std::make_shared<LaneChunk>();
  chunk->lane = lane;
  chunk->index = index;
  chunk->last = last;
  return chunk;
}

TEST(ChunkOrder, DealsRoundRobinWhateverTheArrival) {
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    // Lane 0 has 3 chunks, lane 1 has none, lane 2 has 5; each ends with a last message.
    std::vector<ChunkMessage> arrivals;
    const int chunks[] = {3, 0, 5};
    for (int lane = 0; lane < 3; ++lane) {
      for (int index = 0; index <= chunks[lane]; ++index) {
        arrivals.push_back(message(lane, index, index == chunks[lane]));
      }
    }
    std::shuffle(arrivals.begin(), arrivals.end(), random);
    ChunkOrder order(3);
    std::vector<std::pair<int, std::int64_t>> dealt;
    for (const ChunkMessage& arrival : arrivals) {
      order.add(arrival);
      while (const ChunkMessage next = order.next()) {
        if (!next->last) {
          dealt.emplace_back(next->lane, next->index);
        }
      }
    }
    EXPECT_TRUE(order.finished());
    const std::vector<std::pair<int, std::int64_t>> expected = {
        {0, 0}, {2, 0}, {0, 1}, {2, 1}, {0, 2}, {2, 2}, {2, 3}, {2, 4}};
    EXPECT_EQ(dealt, expected);
  }
}

TEST(ChunkOrder, IsNotFinishedWhileALaneIsOpen) {
  ChunkOrder order(2);
  order.add(message(0, 0, true));
  EXPECT_TRUE(order.next());
  EXPECT_FALSE(order.next());
  EXPECT_FALSE(order.finished());
}

TEST(ChunkOrder, RefusesAPlaceThatWasThereAlready) {
  ChunkOrder order(1);
  order.add(message(0, 0));
  EXPECT_THROW(order.add(message(0, 0)), std::logic_error);
  EXPECT_TRUE(order.next());
  EXPECT_THROW(order.add(message(0, 0)), std::logic_error);
}

}  // namespace
}  // namespace penstock
