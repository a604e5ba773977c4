#include "apps/keep_rows.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

class KeepRowsTest : public testing::Test {
 protected:
  // Gives the sink a batch with this many rows and counts it when the sink is finished with it.
  void give(KeepRows& sink, std::int64_t rows) {
    auto batch = std::make_shared<Batch>();
    batch->num_rows = rows;
    sink.consume(std::move(batch), Completion([this](std::exception_ptr error) {
                   ASSERT_FALSE(error);
                   ++completed_;
                 }));
  }

  std::stop_source stop_;
  std::vector<std::shared_ptr<const Batch>> kept_;
  int completed_ = 0;
};

TEST_F(KeepRowsTest, StopsWhenItHasEnough) {
  KeepRows sink(3, stop_, kept_);
  give(sink, 2);
  EXPECT_FALSE(stop_.stop_requested());
  give(sink, 2);
  EXPECT_TRUE(stop_.stop_requested());
  EXPECT_EQ(kept_.size(), 2U);
}

TEST_F(KeepRowsTest, CountsNoRowsOfPadding) {
  KeepRows sink(2, stop_, kept_);
  give(sink, 1);
  EXPECT_FALSE(stop_.stop_requested());
}

TEST_F(KeepRowsTest, CompletesBatchesThatItDoesNotKeep) {
  KeepRows sink(1, stop_, kept_);
  give(sink, 1);
  give(sink, 1);
  EXPECT_EQ(kept_.size(), 1U);
  EXPECT_EQ(completed_, 2);
}

}  // namespace
}  // namespace penstock
