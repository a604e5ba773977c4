#include "report/history_builder.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A run of 4 threads with 2 lanes after some seconds, of which `tokenize` took 3.6 on the threads
// in each, and the device's thread 0.5.
RunSummary progress_after(double seconds) {
  RunSummary summary;
  summary.wall_seconds = seconds;
  summary.cpu_seconds = 3.9 * seconds;
  summary.threads = 4;
  summary.tokens.out = static_cast<std::int64_t>(5000 * seconds);
  summary.delivered_tokens = static_cast<std::int64_t>(1000 * seconds);
  StageSummary read;
  read.name = "read";
  read.node = 1;
  read.width = 2;
  read.busy_seconds = 0.2 * seconds;
  read.blocked_seconds = 0.1 * seconds;
  StageSummary tokenize;
  tokenize.name = "tokenize";
  tokenize.node = 2;
  tokenize.width = 4;
  tokenize.busy_seconds = 3.6 * seconds;
  StageSummary device;
  device.name = "device";
  device.node = 3;
  device.own_thread_seconds = 0.5 * seconds;
  summary.stages = {read, tokenize, device};
  return summary;
}

RunData look(HistoryBuilder& builder,
             double seconds,
             const std::vector<ToldFigures>& figures = {},
             bool is_last = false) {
  const auto now_ns = static_cast<std::int64_t>(seconds * 1e9);
  return builder.add(progress_after(seconds), figures, {}, now_ns, is_last);
}

TEST(HistoryBuilder, TellsWhatStagesWereBusyWith) {
  HistoryBuilder builder;
  EXPECT_TRUE(look(builder, 0.04).is_empty());
  look(builder, 1);
  const RunData added = look(builder, 2);
  ASSERT_THAT(added.occupancy, SizeIs(1));
  const OccupancyRow& row = added.occupancy.front();
  EXPECT_DOUBLE_EQ(row.time, 2);
  EXPECT_DOUBLE_EQ(row.seconds, 1);
  EXPECT_NEAR(row.threads_busy, 0.95, 1e-9);
  EXPECT_NEAR(row.reading_blocked, 0.05, 1e-9);
  EXPECT_EQ(row.limiting_stage, "tokenize");
  ASSERT_THAT(row.stages, SizeIs(3));
  EXPECT_NEAR(row.stages[0].busy, 0.1, 1e-9);
  EXPECT_NEAR(row.stages[1].busy, 0.9, 1e-9);
  EXPECT_NEAR(row.stages[2].busy, 0.5, 1e-9);
  EXPECT_FALSE(row.stages[1].has_own_thread);
  EXPECT_TRUE(row.stages[2].has_own_thread);
}

TEST(HistoryBuilder, GivesRowsWithoutAnyFigures) {
  HistoryBuilder builder({false, MetricsRow::kUnknown, 10});
  const RunData added = look(builder, 2);
  ASSERT_THAT(added.metrics, SizeIs(1));
  const MetricsRow& row = added.metrics.front();
  EXPECT_TRUE(std::isnan(row.step));
  EXPECT_TRUE(std::isnan(row.loss));
  EXPECT_DOUBLE_EQ(row.time, 12);
  EXPECT_DOUBLE_EQ(row.tokens, 2000);
  EXPECT_DOUBLE_EQ(row.tokens_per_second, 1000);
  EXPECT_NEAR(row.cpu_cores, 3.9, 1e-9);
  EXPECT_EQ(row.limiting_stage, "tokenize");
}

TEST(HistoryBuilder, TellsTheSpeedOfARunThatGoesOn) {
  RunSummary progress = progress_after(2);
  progress.resumed.emplace().account.out = 1'000'000;
  progress.delivered_tokens += 1'000'000;
  HistoryBuilder builder;
  const RunData added = builder.add(progress, {}, {}, 2'000'000'000, false);
  ASSERT_THAT(added.metrics, SizeIs(1));
  EXPECT_DOUBLE_EQ(added.metrics.front().tokens, 1'002'000);
  EXPECT_DOUBLE_EQ(added.metrics.front().tokens_per_second, 1000);
}

TEST(HistoryBuilder, GivesARowForEveryReport) {
  HistoryBuilder builder;
  const std::vector<ToldFigures> figures = {
      {100, 700'000'000, {{"loss", 2.0}, {"tokens", std::int64_t{5000}}}},
      {200,
       900'000'000,
       {{"step", std::int64_t{25}},
        {"loss", 1.0},
        {"perplexity", 2.5},
        {"tokens_per_second", 100.0},
        {"flops_per_token", 30.0},
        {"peak_flops", 6000.0}}},
  };
  const RunData added = look(builder, 1, figures);
  ASSERT_THAT(added.metrics, SizeIs(2));
  EXPECT_DOUBLE_EQ(added.metrics[0].step, 100);
  EXPECT_NEAR(added.metrics[0].time, 0.7, 1e-9);
  EXPECT_DOUBLE_EQ(added.metrics[0].tokens, 5000);
  EXPECT_DOUBLE_EQ(added.metrics[0].perplexity, std::exp(2.0));
  EXPECT_TRUE(std::isnan(added.metrics[0].mfu));
  EXPECT_DOUBLE_EQ(added.metrics[1].step, 25);
  EXPECT_DOUBLE_EQ(added.metrics[1].perplexity, 2.5);
  EXPECT_DOUBLE_EQ(added.metrics[1].mfu, 0.5);
  const RunData later = look(builder, 2);
  EXPECT_THAT(later.metrics, IsEmpty());
  EXPECT_THAT(later.occupancy, SizeIs(1));
}

// Cores are 3.9 in the first second, 1.9 up to the third, and 4.9 from then on.
TEST(HistoryBuilder, TellsOfProcessorTimeSinceTheRowBefore) {
  HistoryBuilder builder({true});
  const auto cores_of = [&](double seconds, double cpu_seconds, int reports, bool is_last = false) {
    RunSummary progress = progress_after(seconds);
    progress.cpu_seconds = cpu_seconds;
    const auto now_ns = static_cast<std::int64_t>(seconds * 1e9);
    std::vector<double> cores;
    for (const MetricsRow& row :
         builder
             .add(progress,
                  std::vector<ToldFigures>(static_cast<std::size_t>(reports), {1, now_ns, {}}),
                  {},
                  now_ns,
                  is_last)
             .metrics) {
      cores.push_back(row.cpu_cores);
    }
    return cores;
  };
  EXPECT_THAT(cores_of(1, 3.9, 1), ElementsAre(DoubleNear(3.9, 1e-9)));
  EXPECT_THAT(cores_of(2, 4.4, 0), IsEmpty());
  EXPECT_THAT(cores_of(2.95, 7.65, 0), IsEmpty());
  EXPECT_THAT(cores_of(3, 7.7, 2), ElementsAre(DoubleNear(1.9, 1e-9), DoubleNear(1.9, 1e-9)));
  EXPECT_THAT(cores_of(4, 12.6, 1), ElementsAre(DoubleNear(4.9, 1e-9)));
  // Too short to tell by itself.
  EXPECT_THAT(cores_of(4.01, 12.649, 1, true), ElementsAre(DoubleNear(4.9, 1e-9)));
}

TEST(HistoryBuilder, CountsTokensThatNobodyTellsOf) {
  HistoryBuilder builder({true, 64});
  const RunData added = look(builder, 1, {{10, 500'000'000, {}}, {30, 1'000'000'000, {}}});
  ASSERT_THAT(added.metrics, SizeIs(2));
  EXPECT_DOUBLE_EQ(added.metrics[0].tokens, 640);
  EXPECT_DOUBLE_EQ(added.metrics[0].tokens_per_second, 1280);
  EXPECT_DOUBLE_EQ(added.metrics[1].tokens, 1920);
  EXPECT_DOUBLE_EQ(added.metrics[1].tokens_per_second, 2560);
}

// The first second of a run that goes on behind 1000 batches of 64 cells, of which 60 are tokens.
MetricsRow first_row_of_resumed(double earlier_seconds,
                                std::int64_t num_batches,
                                std::vector<Result> figures) {
  RunSummary progress = progress_after(1);
  progress.resumed.emplace().next_batch = 1000;
  progress.resumed->account.out = 60'000;
  HistoryBuilder builder({true, 64, earlier_seconds});
  constexpr std::int64_t kNowNs = 1'000'000'000;
  return builder.add(progress, {{num_batches, kNowNs / 2, std::move(figures)}}, {}, kNowNs, false)
      .metrics.at(0);
}

TEST(HistoryBuilder, CountsTheTokensOfARunThatGoesOn) {
  // With rows of the run before, and without.
  for (const double earlier_seconds : {0.0, 100.0}) {
    const MetricsRow told = first_row_of_resumed(earlier_seconds,
                                                 1010,
                                                 {{"tokens", std::int64_t{60'600}},
                                                  {"tokens_per_second", MetricsRow::kUnknown},
                                                  {"flops_per_token", 30.0},
                                                  {"peak_flops", 72'000.0}});
    EXPECT_DOUBLE_EQ(told.time, earlier_seconds + 0.5);
    EXPECT_DOUBLE_EQ(told.tokens, 60'600);
    EXPECT_DOUBLE_EQ(told.tokens_per_second, 1200);
    EXPECT_DOUBLE_EQ(told.mfu, 0.5);
    const MetricsRow cells = first_row_of_resumed(earlier_seconds, 1010, {});
    EXPECT_DOUBLE_EQ(cells.tokens, 64'640);
    EXPECT_DOUBLE_EQ(cells.tokens_per_second, 1280);
    // A sink without a state counts from where it goes on.
    EXPECT_DOUBLE_EQ(first_row_of_resumed(earlier_seconds, 10, {}).tokens_per_second, 1280);
  }
}

TEST(HistoryBuilder, WaitsForFiguresThatAreExpected) {
  HistoryBuilder builder({true});
  const RunData added = look(builder, 1);
  EXPECT_THAT(added.metrics, IsEmpty());
  EXPECT_THAT(added.occupancy, SizeIs(1));
}

TEST(HistoryBuilder, KeepsTextSamplesApart) {
  HistoryBuilder builder;
  const RunData added = look(builder,
                             1,
                             {{8,
                               0,
                               {{"step", std::int64_t{50}},
                                {"prompt", std::string("a")},
                                {"predicted", std::string("b")},
                                {"reference", std::string("c")}}}});
  EXPECT_THAT(added.metrics, IsEmpty());
  ASSERT_THAT(added.samples, SizeIs(1));
  EXPECT_EQ(added.samples[0].step, 50);
  EXPECT_EQ(added.samples[0].prompt, "a");
  EXPECT_EQ(added.samples[0].predicted, "b");
  EXPECT_EQ(added.samples[0].reference, "c");
}

TEST(HistoryBuilder, HasFewRowsForALongRun) {
  HistoryBuilder builder;
  std::size_t rows = 0;
  for (double seconds = 1; seconds < 604'800; seconds += 10) {
    rows += look(builder, seconds).occupancy.size();
  }
  EXPECT_LT(rows, 10'000U);
  EXPECT_THAT(look(builder, 604'800.5, {}, true).occupancy, SizeIs(1));
}

}  // namespace
}  // namespace penstock
