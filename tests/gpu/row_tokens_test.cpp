#include "gpu/row_tokens.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

using ::testing::ElementsAre;

TEST(RowTokens, CountsTheCellsOfEachRowThatAreNotPadding) {
  Batch batch;
  batch.batch_size = 3;
  batch.row_length = 10;
  batch.segments = {
      {0, 4, nullptr, 0, 0, 0}, {4, 10, nullptr, 1, 0, 0}, {10, 13, nullptr, 1, 0, 6}};
  std::vector<std::int32_t> row_tokens(3, -1);
  count_row_tokens(batch, row_tokens);
  EXPECT_THAT(row_tokens, ElementsAre(10, 3, 0));
}

}  // namespace
}  // namespace penstock::gpu
