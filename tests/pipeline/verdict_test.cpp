#include "pipeline/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::HasSubstr;

// A run of 10 s on 4 threads with lanes of width 2; seconds are busy seconds.
RunSummary summary(double read, double tokenize, double pack, double sink) {
  RunSummary summary;
  summary.wall_seconds = 10;
  summary.threads = 4;
  const auto add = [&](const char* name, int width, double busy) {
    StageSummary stage;
    stage.name = name;
    stage.width = width;
    stage.busy_seconds = busy;
    stage.busy_share = busy / (10 * width);
    summary.stages.push_back(stage);
  };
  add("read", 2, read);
  add("tokenize", 4, tokenize);
  add("pack", 1, pack);
  add("device", 1, sink);
  summary.sink_stages = {"device"};
  judge_limit(summary);
  return summary;
}

TEST(Verdict, NamesABusySink) {
  const RunSummary judged = summary(2, 8, 1, 9.8);
  EXPECT_EQ(judged.limiting_stage, "device");
  EXPECT_THAT(judged.limit_reason, HasSubstr("busy 98 % of the time"));
}

TEST(Verdict, NamesTheStageThatTakesMostOfBusyThreads) {
  const RunSummary judged = summary(2, 36, 1, 3);
  EXPECT_EQ(judged.limiting_stage, "tokenize");
  EXPECT_THAT(judged.limit_reason, HasSubstr("took 92 %"));
}

TEST(Verdict, NamesLanesThatAreBusyWhileThreadsAreIdle) {
  const RunSummary judged = summary(19, 5, 1, 1);
  EXPECT_EQ(judged.limiting_stage, "read");
  EXPECT_THAT(judged.limit_reason, HasSubstr("each of its 2 places"));
}

TEST(Verdict, NamesABudgetThatHoldsReadingBack) {
  RunSummary judged = summary(1, 5, 1, 5);
  judged.stages[0].blocked_seconds = 15;
  judge_limit(judged);
  EXPECT_THAT(judged.limit_reason, HasSubstr("held back 75 %"));
}

TEST(Verdict, SaysThatNothingWasBusyAllTheTime) {
  EXPECT_THAT(summary(1, 5, 1, 5).limit_reason, HasSubstr("nothing was busy all the time"));
}

TEST(Verdict, SaysNothingBeforeAnythingHappened) {
  EXPECT_EQ(summary(0, 0, 0, 0).limiting_stage, "");
}

}  // namespace
}  // namespace penstock
