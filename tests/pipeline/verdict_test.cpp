#include "pipeline/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

// A run of 10 s on 4 threads with 2 lanes; seconds are busy seconds.
RunSummary summary(double read, double decompress, double tokenize, double write, double device) {
  RunSummary summary;
  summary.wall_seconds = 10;
  summary.threads = 4;
  const auto add = [&](const char* name, int node, int width, double busy, double own) {
    StageSummary stage;
    stage.name = name;
    stage.node = node;
    stage.width = width;
    stage.busy_seconds = busy;
    stage.own_thread_seconds = own;
    summary.stages.push_back(stage);
  };
  add("read", 1, 2, read, 0);
  add("decompress", 1, 2, decompress, 0);
  add("tokenize", 2, 4, tokenize, 0);
  add("write_npy", 3, 1, write, 0);
  add("device", 4, 1, 0, device);
  judge_limit(summary);
  return summary;
}

TEST(Verdict, NamesASinkWhoseOwnThreadIsBusy) {
  const RunSummary judged = summary(1, 1, 8, 1, 9.8);
  EXPECT_EQ(judged.limiting_stage, "device");
  EXPECT_THAT(judged.limit_reason, HasSubstr("busy 98 % of the time"));
}

TEST(Verdict, NamesASinkThatIsBusyWhileNoThreadHasWork) {
  EXPECT_EQ(summary(0, 0, 0, 0, 9.8).limiting_stage, "device");
  EXPECT_EQ(summary(0, 0, 0, 0, 1).limiting_stage, "");
}

TEST(Verdict, NamesASinkThatWritesOnTheThreadsOfThePool) {
  const RunSummary judged = summary(1, 1, 2, 9, 0);
  EXPECT_EQ(judged.limiting_stage, "write_npy");
  EXPECT_THAT(judged.limit_reason, HasSubstr("90 % used"));
}

TEST(Verdict, NamesTheStageThatTakesMostOfBusyThreads) {
  const RunSummary judged = summary(1, 1, 36, 1, 3);
  EXPECT_EQ(judged.limiting_stage, "tokenize");
  EXPECT_THAT(judged.limit_reason, HasSubstr("took 92 %"));
}

TEST(Verdict, AddsUpWhatSharesALane) {
  const RunSummary judged = summary(8, 11, 5, 1, 1);
  EXPECT_EQ(judged.limiting_stage, "decompress");
  EXPECT_THAT(judged.limit_reason, HasSubstr("at most 2 can work on it at a time"));
}

TEST(Verdict, NamesABudgetThatHoldsReadingBack) {
  RunSummary judged = summary(1, 1, 5, 1, 5);
  judged.stages[0].blocked_seconds = 15;
  judge_limit(judged);
  EXPECT_EQ(judged.limiting_stage, "memory_limit");
  EXPECT_THAT(judged.limit_reason, HasSubstr("waited 75 %"));
}

TEST(Verdict, SaysThatNothingWasBusyAllTheTime) {
  EXPECT_THAT(summary(1, 1, 5, 1, 5).limit_reason, HasSubstr("nothing was busy all the time"));
}

TEST(Verdict, SaysNothingBeforeAnythingHappened) {
  EXPECT_EQ(summary(0, 0, 0, 0, 0).limiting_stage, "");
}

}  // namespace
}  // namespace penstock
