#include <gtest/gtest.h>

#include "pipeline/pipeline.h"

namespace penstock {
namespace {

// Half of the input has been read, all of that is packed, and a sink is at half of that.
RunSummary half_way() {
  RunSummary summary;
  summary.total_input_bytes = 1000;
  summary.input_bytes = 500;
  summary.records = 50;
  summary.packed_records = 50;
  summary.tokens.in = 8000;
  summary.tokens.out = 7000;
  summary.delivered_tokens = 4000;
  return summary;
}

// Goes on behind a chunk of 30 records, of the next one of which 200 tokens are in batches.
RunSummary resumed(RunSummary summary) {
  StreamPosition& from = summary.resumed.emplace();
  from.totals.records = 30;
  from.account.in = 100'000;
  from.account.out = 100'200;
  summary.records += 30;
  summary.packed_records += 30;
  summary.tokens.in += 100'200;
  summary.tokens.out += 100'200;
  summary.delivered_tokens += 100'200;
  return summary;
}

TEST(RunSummary, CountsAsDoneWhatWasDelivered) {
  EXPECT_DOUBLE_EQ(*half_way().share_done(), 0.25);
  EXPECT_DOUBLE_EQ(*resumed(half_way()).share_done(), 0.25);
}

TEST(RunSummary, CountsAsDoneNothingThatIsOnItsWayToTheAssembler) {
  RunSummary summary = half_way();
  summary.records = 100;
  EXPECT_DOUBLE_EQ(*summary.share_done(), 0.125);
}

TEST(RunSummary, IsDoneWhenAllHasBeenDelivered) {
  RunSummary summary = half_way();
  summary.input_bytes = 1000;
  summary.tokens.out = summary.tokens.in;
  summary.delivered_tokens = summary.tokens.in;
  EXPECT_LT(*summary.share_done(), 1);
  EXPECT_GT(*summary.share_done(), 0.99);
  summary.all_packed = true;
  EXPECT_EQ(*summary.share_done(), 1);
  EXPECT_EQ(*resumed(summary).share_done(), 1);
  --summary.delivered_tokens;
  EXPECT_LT(*summary.share_done(), 1);
  summary.tokens.dropped = 1;
  EXPECT_EQ(*summary.share_done(), 1);
}

TEST(RunSummary, BeginsWithNothingDone) {
  RunSummary summary;
  EXPECT_EQ(summary.share_done(), std::nullopt);
  summary.total_input_bytes = 1000;
  EXPECT_EQ(*summary.share_done(), 0);
  summary.input_bytes = 1000;
  EXPECT_EQ(*summary.share_done(), 0);
  EXPECT_EQ(*resumed(summary).share_done(), 0);
}

TEST(RunSummary, IsDoneWithAnInputThatGivesNothing) {
  RunSummary summary;
  summary.total_input_bytes = 0;
  EXPECT_EQ(*summary.share_done(), 0);
  summary.all_packed = true;
  EXPECT_EQ(*summary.share_done(), 1);
  summary = half_way();
  summary.tokens = {};
  summary.delivered_tokens = 0;
  EXPECT_DOUBLE_EQ(*summary.share_done(), 0.5);
}

TEST(RunSummary, CountsTokensOfThisRunAlone) {
  EXPECT_EQ(half_way().new_tokens(), 4000);
  EXPECT_EQ(resumed(half_way()).new_tokens(), 4000);
}

}  // namespace
}  // namespace penstock
