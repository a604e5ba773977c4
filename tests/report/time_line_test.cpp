#include "report/time_line.h"

#include <gmock/gmock.h>

#include "tests/report/sample_run.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> states(const TimeLine::Row& row) {
  std::vector<std::string> states;
  for (const TimeLine::Segment& segment : row.segments) {
    states.push_back(segment.state);
  }
  return states;
}

TEST(TimeLine, SaysWhoWaitsForWhom) {
  const TimeLine line = time_line_of(sample_run(100).occupancy);
  ASSERT_THAT(line.rows, SizeIs(4));
  EXPECT_EQ(line.rows[0].who, "read");
  EXPECT_THAT(states(line.rows[0]),
              ElementsAre("waits for device", "waits for tokenize", "waits for device"));
  EXPECT_THAT(states(line.rows[1]), ElementsAre("waits for device", "limits", "waits for device"));
  EXPECT_THAT(states(line.rows[2]), ElementsAre("limits", "waits for tokenize", "limits"));
  EXPECT_EQ(line.rows[3].who, "GPU");
  EXPECT_THAT(states(line.rows[3]), ElementsAre("works", "waits for tokenize", "works"));
  const TimeLine::Segment& slow = line.rows[3].segments[1];
  EXPECT_EQ(slow.begin, 50);
  EXPECT_EQ(slow.end, 75);
  EXPECT_DOUBLE_EQ(slow.busy, 0.25);
}

TEST(TimeLine, MergesNeighboursByTheMeanOfTheirShares) {
  const std::vector<OccupancyRow> merged = merge_occupancy(sample_run(1000).occupancy, 4);
  ASSERT_THAT(merged, SizeIs(4));
  EXPECT_DOUBLE_EQ(merged[1].seconds, 250);
  EXPECT_DOUBLE_EQ(merged[1].time, 500);
  EXPECT_DOUBLE_EQ(merged[2].gpu_busy, 0.25);
  EXPECT_EQ(merged[2].limiting_stage, "tokenize");
  EXPECT_DOUBLE_EQ(merged[2].stages[1].busy, 1);
  EXPECT_DOUBLE_EQ(merge_occupancy(sample_run(1000).occupancy, 1)[0].stages[1].busy, 0.4375);
}

TEST(TimeLine, IsEmptyWithoutAnyRow) {
  EXPECT_THAT(time_line_of({}).rows, IsEmpty());
}

}  // namespace
}  // namespace penstock
