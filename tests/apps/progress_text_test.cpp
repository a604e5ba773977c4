#include "apps/progress_text.h"

#include <gmock/gmock.h>

namespace penstock {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A run whose sinks keep pace.
RunSummary at(double seconds, std::int64_t tokens, std::int64_t input_bytes) {
  RunSummary now;
  now.wall_seconds = seconds;
  now.tokens.in = tokens;
  now.tokens.out = tokens;
  now.delivered_tokens = tokens;
  now.text_bytes = 4 * tokens;
  now.input_bytes = input_bytes;
  now.total_input_bytes = 100'000'000;
  now.records = 1000;
  now.packed_records = 1000;
  now.limiting_stage = "tokenize";
  return now;
}

// The whole input has been packed, and a sink has had so much of its 1,000,000 tokens.
RunSummary packed_at(double seconds, std::int64_t delivered) {
  RunSummary now = at(seconds, 1'000'000, 100'000'000);
  now.all_packed = true;
  now.delivered_tokens = delivered;
  now.limiting_stage = "device";
  return now;
}

RecentRates rates_after(const RunSummary& now) {
  RecentRates rates(5);
  rates.add(now);
  return rates;
}

TEST(ProgressText, TellsTheLossOfATraining) {
  const RunSummary now = packed_at(10, 500'000);
  EXPECT_THAT(progress_bar(now, rates_after(now), 100, 6.8684),
              HasSubstr("all 100 MB read  50.0 k tokens/s  loss 6.868  "));
  EXPECT_THAT(progress_sentence(now, rates_after(now), 6.8684), HasSubstr(", loss 6.868, "));
  EXPECT_THAT(progress_sentence(now, rates_after(now)), Not(HasSubstr("loss")));
}

TEST(ProgressText, MeasuresFromTheStartWithOneSample) {
  const RecentRates rates = rates_after(at(2, 1000, 5'000'000));
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 500);
  EXPECT_DOUBLE_EQ(rates.text_bytes_per_second(), 2000);
  EXPECT_DOUBLE_EQ(rates.share_per_second(), 0.025);
}

TEST(ProgressText, MeasuresWhatIsDelivered) {
  RecentRates rates(5);
  rates.add(packed_at(1, 0));
  rates.add(packed_at(2, 1000));
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 500);
  EXPECT_DOUBLE_EQ(rates.text_bytes_per_second(), 2000);
  EXPECT_DOUBLE_EQ(rates.share_per_second(), 0.0005);
}

TEST(ProgressText, ForgetsWhatIsOlderThanTheWindow) {
  RecentRates rates(5);
  rates.add(at(1, 1'000'000, 0));
  for (int second = 2; second <= 10; ++second) {
    rates.add(at(second, 1'000'000 + 10 * second, 0));
  }
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 10);
}

TEST(ProgressText, MeasuresFromDeliveryToDeliveryWhereBatchesTakeLong) {
  RecentRates rates(5);
  for (int second = 1; second <= 40; ++second) {
    rates.add(packed_at(second, 8000 * (second / 8)));
    if (second >= 8) {
      EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 1000) << "after " << second << " s";
    }
  }
}

TEST(ProgressText, TellsThatADeliveryIsOverdue) {
  RecentRates rates(5);
  for (int second = 1; second <= 10; ++second) {
    rates.add(packed_at(second, 1000 * second));
  }
  rates.add(packed_at(11, 10'000));
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 1000);
  rates.add(packed_at(1000, 10'000));
  EXPECT_LT(rates.tokens_per_second(), 10);
}

TEST(ProgressText, DoesNotCountWhatAnEarlierRunDelivered) {
  RunSummary now = at(2, 1'001'000, 1'000'000);
  now.text_bytes = 4000;
  StreamPosition& from = now.resumed.emplace();
  from.account.in = 1'000'000;
  from.account.out = 1'000'000;
  const RecentRates rates = rates_after(now);
  EXPECT_DOUBLE_EQ(rates.tokens_per_second(), 500);
  EXPECT_DOUBLE_EQ(rates.text_bytes_per_second(), 2000);
  EXPECT_THAT(progress_bar(now, rates, 20), StartsWith("  1%  3:18 left"));
}

TEST(ProgressText, HasNoRateBeforeTimeHasPassed) {
  EXPECT_EQ(RecentRates(5).tokens_per_second(), 0);
  EXPECT_EQ(rates_after(at(0, 10, 10)).tokens_per_second(), 0);
}

TEST(ProgressText, TellsTheTimeLeftFromTheShareLeft) {
  EXPECT_DOUBLE_EQ(*seconds_left(at(1, 0, 60'000'000), 0.1), 4);
  EXPECT_DOUBLE_EQ(*seconds_left(packed_at(1, 250'000), 0.25), 3);
  EXPECT_EQ(seconds_left(packed_at(1, 1'000'000), 0.1), 0.0);
}

TEST(ProgressText, TellsTheTimeLeftFromTheWholeRunWhereNothingHappensLately) {
  EXPECT_DOUBLE_EQ(*seconds_left(at(3, 0, 60'000'000), 0), 2);
}

TEST(ProgressText, TellsNoTimeLeftWhereNobodyCanKnowIt) {
  EXPECT_EQ(seconds_left(packed_at(3, 0), 0), std::nullopt);
  EXPECT_EQ(seconds_left(at(0, 0, 60'000'000), 0), std::nullopt);
  RunSummary endless = at(1, 0, 60'000'000);
  endless.total_input_bytes.reset();
  EXPECT_EQ(seconds_left(endless, 0.1), std::nullopt);
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

TEST(ProgressText, SaysAHundredPercentOnlyWhenEverythingHasBeenDelivered) {
  const RunSummary read = at(4, 1'000'000, 100'000'000);
  EXPECT_THAT(progress_bar(read, rates_after(read), 80), StartsWith(" 99%"));
  const RunSummary almost = packed_at(4, 999'999);
  EXPECT_THAT(progress_bar(almost, rates_after(almost), 80), StartsWith(" 99%"));
  EXPECT_THAT(progress_bar(almost, rates_after(almost), 100), HasSubstr("0:00 left"));
  const RunSummary all = packed_at(4, 1'000'000);
  EXPECT_THAT(progress_bar(all, rates_after(all), 100),
              StartsWith("100%  [==============]  all 100 MB read"));
  EXPECT_THAT(progress_bar(all, rates_after(all), 100), HasSubstr("finishing"));
}

TEST(ProgressText, FollowsASlowSinkWhenAllIsPacked) {
  RecentRates rates(5);
  EXPECT_THAT(progress_sentence(packed_at(0.5, 0), rates),
              StartsWith("0%, all 100 MB read, 0 tokens/s, 0.00 MB/s of text, 0:01 so far"));
  for (int second = 1; second <= 25; ++second) {
    rates.add(packed_at(second, 10'000 * second));
  }
  EXPECT_EQ(progress_sentence(packed_at(25, 250'000), rates),
            "25%, all 100 MB read, 10.0 k tokens/s, 0.04 MB/s of text, 1:15 left, "
            "limit: device");
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
