#include "apps/summary_text.h"

#include <cmath>

#include <gmock/gmock.h>

#include "tests/apps/sample_report.h"

namespace penstock {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(SummaryText, TellsEverythingOfAFinishedRun) {
  EXPECT_EQ(summary_text(sample_report()),
            R"(Finished in 2.00 s: the whole input was read.

  input      746 kB of 746 kB as stored, 1,038 records
  documents  1,036 with 3.10 MB of text; 2 records rejected
  tokens     800,000: 790,000 packed, 10,000 dropped
  batches    24; 7 cells are padding, 5 repeat the last token of the row before
  speed      395 k tokens/s, 1.55 MB/s of text, 0.37 MB/s of stored input
  processor  1.5 cores used on average by 2 threads
  memory     at most 3 MiB in flight of 1 GiB allowed; the process at most 50 MiB

  stage      width   busy     bytes in            tokens   rejects     blocked
  read           1     5%    7.46 MB/s                 -         1      1.50 s
  tokenize       2    90%    0.86 MB/s    222 k tokens/s         1           -
  write_npy      1    10%            -   3.95 M tokens/s         0           -
  (width: threads at once; busy: share of the time of that many threads, or of the stage's
  own; bytes in and tokens: per second in which a thread was busy; blocked: waiting because
  memory_limit was used up)

  tokenize: fast engine: BPE

  limit: tokenize, because its threads are busy 90 % of the time

  write_npy
    path      out.npy
    rows      768
    mean_row  1028.5
)");
}

TEST(SummaryText, TellsTheSpeedOfAStageFromItsOwnThread) {
  RunReport report = sample_report();
  report.summary.stages.back().own_thread_seconds = 1.58;
  EXPECT_THAT(summary_text(report), HasSubstr("-    500 k tokens/s         0 "));
}

TEST(SummaryText, TellsWhereARunGoesOnAndWhatIsNew) {
  RunReport report = sample_report();
  StreamPosition& from = report.summary.resumed.emplace();
  from.next_batch = 12;
  from.totals.documents = 500;
  from.account = {390'000, 400'000, 0, 0, 0};
  const std::string text = summary_text(report);
  EXPECT_THAT(
      text,
      HasSubstr("  resumed    with batch 12; before: 500 documents, 400,000 tokens; they are "
                "counted below, but not in speed\n  input "));
  EXPECT_THAT(text, HasSubstr("  speed      195 k tokens/s"));
}

TEST(SummaryText, TellsWhatBecameOfTheCheckpoints) {
  RunReport report = sample_report();
  report.summary.checkpoints = {1, 0, 0, "ckpt/batch-000000000012", ""};
  EXPECT_THAT(summary_text(report),
              HasSubstr("  saved      1 checkpoint, the last one ckpt/batch-000000000012\n"));
  report.status = RunStatus::kStopped;
  EXPECT_THAT(summary_text(report),
              HasSubstr("batch-000000000012: --resume latest goes on behind it\n"));
  report.summary.checkpoints = {0, 2, 3, "", "disk full"};
  EXPECT_THAT(summary_text(report),
              HasSubstr("  saved      0 checkpoints; 2 failed; 3 left out, because one was still "
                        "being written\n"));
}

TEST(SummaryText, EndsWithTheWarnings) {
  RunReport report = sample_report();
  report.summary.warnings = {"first", "second"};
  EXPECT_THAT(summary_text(report), EndsWith("\n\n  warning: first\n\n  warning: second\n"));
}

TEST(SummaryText, SaysThatTheOutputOfAStoppedRunIsNotComplete) {
  RunReport report = sample_report();
  report.status = RunStatus::kStopped;
  EXPECT_THAT(summary_text(report), StartsWith("Stopped after 2.00 s, before the end"));
  EXPECT_THAT(summary_text(report), HasSubstr("the output is not complete"));
}

TEST(SummaryText, SaysThatARunFailed) {
  RunReport report = sample_report();
  report.status = RunStatus::kFailed;
  EXPECT_THAT(summary_text(report), StartsWith("Failed after 2.00 s"));
}

TEST(SummaryText, CountsTokensThatWaitForTheirBatch) {
  RunReport report = sample_report();
  report.summary.tokens.dropped = 0;
  EXPECT_THAT(summary_text(report),
              HasSubstr("800,000: 790,000 packed, 0 dropped, 10,000 not packed yet\n"));
}

TEST(SummaryText, TellsWhatWasNotDelivered) {
  RunReport report = sample_report();
  report.status = RunStatus::kStopped;
  report.summary.delivered_tokens = 100'000;
  const std::string text = summary_text(report);
  EXPECT_THAT(
      text, HasSubstr("800,000: 790,000 packed (690,000 of them not delivered), 10,000 dropped\n"));
  EXPECT_THAT(text, HasSubstr("  speed      50.0 k tokens/s; read: 1.55 MB/s of text, 0.37 MB/s"));
}

TEST(SummaryText, SaysWhenThereWereNoRecords) {
  RunReport report;
  const std::string text = summary_text(report);
  EXPECT_THAT(text, HasSubstr("no documents: the input held no records\n"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  EXPECT_THAT(text, Not(HasSubstr("inf")));
  EXPECT_THAT(text, Not(HasSubstr("limit:")));
}

TEST(SummaryText, SaysWhenRecordsGaveNoDocuments) {
  RunReport report;
  report.summary.records = 5;
  report.summary.rejects = 5;
  EXPECT_THAT(summary_text(report),
              HasSubstr("no documents came out of the records; 5 records rejected\n"));
}

TEST(SummaryText, LeavesTheTotalOutWhereItIsNotKnown) {
  RunReport report = sample_report();
  report.summary.total_input_bytes.reset();
  EXPECT_THAT(summary_text(report), HasSubstr("input      746 kB as stored"));
}

TEST(SummaryText, ShowsTheFirstOfManyNumbers) {
  RunReport report = sample_report();
  report.summary.sinks = {{"device",
                           {{"few", std::vector<double>{1, 2.5}},
                            {"many", std::vector<double>(1234, 7.0)},
                            {"none", std::vector<double>{}},
                            {"lost", std::nan("")}}}};
  const std::string text = summary_text(report);
  EXPECT_THAT(text, HasSubstr("few   1, 2.5\n"));
  EXPECT_THAT(text, HasSubstr("lost  -\n"));
  EXPECT_THAT(text, HasSubstr("many  7, 7, 7, 7, 7, 7, 7, 7, ... (1,234 in all)\n"));
}

}  // namespace
}  // namespace penstock
