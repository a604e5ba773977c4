#include "gpu/packed_positions.h"

#include <cstdint>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/device.h"
#include "tests/gpu/lm_batches.h"

namespace penstock::gpu {
namespace {

using ::testing::ElementsAre;

PackedPositions positions_of(const BatchShape& shape,
                             const std::vector<std::vector<TokenId>>& documents,
                             std::int64_t vocabulary = 100) {
  const std::vector<Batch> batches = packed(shape, documents, 999);
  const std::unique_ptr<StagingSlot> slot = make_host_device()->make_slot(shape);
  return packed_positions(slot->upload(batches.at(0)), vocabulary);
}

TEST(PackedPositions, HaveTheNextTokenOfTheirDocumentAsTarget) {
  const PackedPositions positions = positions_of({2, 4, 4}, {{1, 2, 3}, {4, 5, 6, 7}});
  EXPECT_THAT(positions.tokens, ElementsAre(1, 2, 3, 4, 5, 6, 7, 0));
  EXPECT_THAT(positions.targets, ElementsAre(2, 3, -1, -1, 6, 7, -1, -1));
  EXPECT_THAT(positions.begins, ElementsAre(0, 0, 0, 3, 4, 4, 4, 7));
  EXPECT_THAT(positions.ends, ElementsAre(3, 3, 3, 4, 7, 7, 7, 8));
  EXPECT_EQ(positions.num_tokens, 7);
  EXPECT_EQ(positions.num_scored, 4);
  EXPECT_EQ(positions.num_unknown, 0);
}

TEST(PackedPositions, OfShiftedRowsHaveTheRowsLastTokenAsLastTarget) {
  const PackedPositions positions = positions_of({1, 4, 5}, {{1, 2, 3, 4}, {5, 6}});
  EXPECT_THAT(positions.targets, ElementsAre(2, 3, 4, 5));
}

TEST(PackedPositions, CountEveryUnknownIdOnce) {
  const PackedPositions positions = positions_of({1, 4, 5}, {{1, 60, 3, 4, 70}}, 50);
  EXPECT_EQ(positions.num_unknown, 2);
  EXPECT_THAT(positions.tokens, ElementsAre(1, 0, 3, 4));
  EXPECT_THAT(positions.targets, ElementsAre(-1, 3, 4, -1));
}

}  // namespace
}  // namespace penstock::gpu
