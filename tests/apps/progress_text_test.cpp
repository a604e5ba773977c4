#include "apps/progress_text.h"

#include <gmock/gmock.h>

namespace penstock {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

RunSummary at(double seconds, std::int64_t tokens, std::int64_t input_bytes) {
  RunSummary now;
  now.wall_seconds = seconds;
  now.tokens.in = tokens;
  now.text_bytes = 4 * tokens;
  now.input_bytes = input_bytes;
  now.total_input_bytes = 100'000'000;
  now.limiting_stage = "tokenize";
  return now;
}

RecentRates rates_after(const RunSummary& now) {
  RecentRates rates(5);
  rates.add(now);
  return rates;
}

TEST(ProgressText, MeasuresFromTheStartWithOneSample) {
  const RecentRates rates = rates_after(at(2, 1000, 500));
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 500);
  EXPECT_DOUBLE_EQ(rates.text_bytes_per_second(), 2000);
  EXPECT_DOUBLE_EQ(rates.input_bytes_per_second(), 250);
}

TEST(ProgressText, ForgetsWhatIsOlderThanTheWindow) {
  RecentRates rates(5);
  rates.add(at(1, 1'000'000, 0));
  for (int second = 2; second <= 10; ++second) {
    rates.add(at(second, 1'000'000 + 10 * second, 0));
  }
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 10);
}

TEST(ProgressText, HasNoRateBeforeTimeHasPassed) {
  EXPECT_EQ(RecentRates(5).tokens_per_second(), 0);
  EXPECT_EQ(rates_after(at(0, 10, 10)).tokens_per_second(), 0);
}

TEST(ProgressText, TellsTheTimeLeftFromTheBytesLeft) {
  EXPECT_EQ(seconds_left(at(1, 0, 60'000'000), 10e6), 4.0);
  EXPECT_EQ(seconds_left(at(1, 0, 120'000'000), 10e6), 0.0);
}

TEST(ProgressText, TellsNoTimeLeftWhereNobodyCanKnowIt) {
  EXPECT_EQ(seconds_left(at(1, 0, 60'000'000), 0), std::nullopt);
  RunSummary endless = at(1, 0, 60'000'000);
  endless.total_input_bytes.reset();
  EXPECT_EQ(seconds_left(endless, 10e6), std::nullopt);
}

TEST(ProgressText, ShowsEverythingOnAWideTerminal) {
  const RunSummary now = at(4, 4'800'000, 42'000'000);
  EXPECT_EQ(progress_bar(now, rates_after(now), 200),
            " 42%  [===============>                      ]  42.0 MB of 100 MB read  "
            "1.20 M tokens/s  4.80 MB/s of text  0:06 left  limit: tokenize");
}

TEST(ProgressText, LeavesOutTheLessImportantOnANarrowTerminal) {
  const RunSummary now = at(4, 4'800'000, 42'000'000);
  const RecentRates rates = rates_after(now);
  EXPECT_EQ(progress_bar(now, rates, 20), " 42%  0:06 left");
  EXPECT_EQ(progress_bar(now, rates, 32), " 42%  1.20 M tokens/s  0:06 left");
  EXPECT_EQ(progress_bar(now, rates, 44), " 42%  [===>    ]  1.20 M tokens/s  0:06 left");
}

TEST(ProgressText, NeverIsWiderThanTheTerminal) {
  const RunSummary now = at(40'000, 4'800'000'000'000, 99'999'999);
  const RecentRates rates = rates_after(now);
  for (int columns = 0; columns <= 200; ++columns) {
    EXPECT_LE(progress_bar(now, rates, columns).size(), static_cast<std::size_t>(columns));
  }
}

TEST(ProgressText, GetsNoShorterOnAWiderTerminal) {
  const RunSummary now = at(4, 4'800'000, 42'000'000);
  const RecentRates rates = rates_after(now);
  for (int columns = 20; columns < 200; ++columns) {
    EXPECT_LE(progress_bar(now, rates, columns).size(),
              progress_bar(now, rates, columns + 1).size());
  }
}

TEST(ProgressText, SaysAHundredPercentOnlyWhenEverythingHasBeenRead) {
  const RunSummary almost = at(4, 0, 99'999'999);
  EXPECT_THAT(progress_bar(almost, rates_after(almost), 80), StartsWith(" 99%"));
  const RunSummary all = at(4, 0, 100'000'000);
  EXPECT_THAT(progress_bar(all, rates_after(all), 100), StartsWith("100%  [==========]"));
  EXPECT_THAT(progress_bar(all, rates_after(all), 100), HasSubstr("finishing"));
}

TEST(ProgressText, ShowsNeitherPercentNorBarWithoutATotal) {
  RunSummary now = at(75, 4'800'000, 42'000'000);
  now.total_input_bytes.reset();
  const std::string line = progress_bar(now, rates_after(now), 200);
  EXPECT_THAT(line, Not(HasSubstr("%")));
  EXPECT_THAT(line, Not(HasSubstr("[")));
  EXPECT_THAT(line, StartsWith("42.0 MB read"));
  EXPECT_THAT(line, HasSubstr("1:15 so far"));
}

TEST(ProgressText, WritesASentenceForTheLog) {
  const RunSummary now = at(4, 4'800'000, 42'000'000);
  EXPECT_EQ(progress_sentence(now, rates_after(now)),
            "42%, 42.0 MB of 100 MB read, 1.20 M tokens/s, 4.80 MB/s of text, 0:06 left, "
            "limit: tokenize");
}

}  // namespace
}  // namespace penstock
