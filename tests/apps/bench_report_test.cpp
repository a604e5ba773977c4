#include "apps/bench_report.h"

#include <gmock/gmock.h>

#include "tests/apps/sample_bench_report.h"

namespace penstock {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST(BenchReport, WritesSharesWithTwoDigits) {
  EXPECT_EQ(share_text(0.71), "71 %");
  EXPECT_EQ(share_text(0.004), "0.4 %");
  EXPECT_EQ(share_text(0.0996), "10 %");
  EXPECT_EQ(share_text(1), "100 %");
}

TEST(BenchReport, SaysWhatLimitsAndWhatIsToBeGained) {
  EXPECT_EQ(bench_verdict(sample_bench_report()),
            "tokenize limits: it takes 71 % of a core's time; twice as fast would give 1.55 times "
            "the tokens/s. With 2 threads the pipeline reaches 93 % of its ceiling (98 % with 1 "
            "thread); a byte takes 6.5 % more processor time than in the stages alone, since "
            "chunks are passed on, and stages and threads take room in caches from each other.");
}

TEST(BenchReport, SaysThatANarrowStageLimits) {
  BenchReport report = sample_bench_report();
  report.stages[4].seconds_per_byte.median = 1.2e-8;
  EXPECT_THAT(bench_verdict(report),
              StartsWith("pack limits: at most 1 thread can work on it at a time, and that is too "
                         "little for 2 threads; twice as fast would give 1.51 times"));
}

// The end of the verdict where 2 threads reach this share of the ceiling.
std::string rest_of(double share, double cores_used = 2) {
  BenchReport report = sample_bench_report();
  report.runs[1].share.median = share;
  report.runs[1].cores_used = cores_used;
  const std::string verdict = bench_verdict(report);
  return verdict.substr(verdict.find("; ", verdict.find("With 2 threads")) + 2);
}

TEST(BenchReport, SaysWhereTheRestOfTheCeilingGoes) {
  EXPECT_EQ(rest_of(0.98), "there is nothing to gain but from faster stages.");
  EXPECT_THAT(rest_of(1.05), StartsWith("that is more than its stages alone allow"));
  EXPECT_EQ(rest_of(0.8, 1.7), "its threads had nothing to do for 15 % of the time.");
  EXPECT_THAT(rest_of(0.8, 1.9), StartsWith("a byte takes 2.2 % more processor time"));
}

TEST(BenchReport, ComparesWithTheFewestThreadsWhereThatTellsSomething) {
  BenchReport report = sample_bench_report();
  report.runs[0].share.median = 0.94;
  EXPECT_THAT(bench_verdict(report), HasSubstr("reaches 93 % of its ceiling; "));
}

TEST(BenchReport, BlamesOtherProgramsBeforeAnythingElse) {
  BenchReport report = sample_bench_report();
  report.runs[1].processor_share = 0.6;
  report.runs[1].memory_limited = true;
  EXPECT_THAT(bench_verdict(report),
              EndsWith("other programs took processors from it, and for the processor time that "
                       "it got, 94 % would be right."));
  EXPECT_THAT(bench_notes(report),
              ElementsAre(AllOf(StartsWith("Other programs were busy meanwhile: 2 threads"),
                                HasSubstr("for 60 % of the time"))));
}

TEST(BenchReport, ComparesTheWorkOfARunWithThatOfItsStages) {
  BenchReport report = sample_bench_report();
  report.runs[1].cores_used = 1.86;
  EXPECT_DOUBLE_EQ(work_share(report, report.runs[1]), 1);
  report.runs[1].cores_used = 3.72;
  EXPECT_DOUBLE_EQ(work_share(report, report.runs[1]), 0.5);
}

TEST(BenchReport, BlamesTheMemoryLimit) {
  BenchReport report = sample_bench_report();
  report.runs[1].memory_limited = true;
  EXPECT_THAT(bench_verdict(report),
              EndsWith("reading waits for memory_limit, so raise that first."));
}

TEST(BenchReport, HasNoNotesWhereAllIsWell) {
  EXPECT_THAT(bench_notes(sample_bench_report()), IsEmpty());
}

TEST(BenchReport, NotesWhatMakesFiguresDoubtful) {
  BenchReport report = sample_bench_report();
  report.rounds = 2;
  report.chunks = 30;
  report.passes = 3;
  report.processors = 1;
  EXPECT_THAT(bench_notes(report),
              ElementsAre(StartsWith("Only 2 rounds fitted into --seconds"),
                          StartsWith("The timed half has only 15 chunks, too few for 2 threads"),
                          HasSubstr("was read up to 3 times over"),
                          StartsWith("There are fewer processors (1) than threads (2)")));
}

TEST(BenchReport, CountsProcessorsWhereThereAreMoreThreads) {
  BenchReport report = sample_bench_report();
  EXPECT_EQ(cores_of(report, report.runs[1]), 2);
  report.processors = 1;
  EXPECT_EQ(cores_of(report, report.runs[1]), 1);
}

}  // namespace
}  // namespace penstock
