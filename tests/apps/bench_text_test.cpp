#include "apps/bench_text.h"

#include <gmock/gmock.h>

#include "tests/apps/sample_bench_report.h"

namespace penstock {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(BenchText, TellsEverything) {
  EXPECT_EQ(
      bench_text(sample_bench_report()),
      R"(Measured on 64.0 MB of text in 256 chunks, from the beginning of the input; 5 rounds in 9.80 s.
The first half of it warms up, the second half is timed: new text for stages that already
run. Files are read from memory (the page cache), and nothing is written.

One core, each stage alone (MB of text a second)

  stage           MB/s          min to max  when new     time
  read          20,000    16,000 to 25,000    10,000    0.5 %
  decompress       571          457 to 714       286     18 %
  parse          1,000        800 to 1,250       500     10 %
  tokenize         141          113 to 176      70.4     71 %
  pack          10,000     8,000 to 12,500     5,000    1.0 %
  together         100                          50.0    100 %
  (when new: on the first half, while its caches are empty; time: share of a core's time
  for a byte that goes through all stages; together: the most that one core can do)

The whole pipeline (MB of text a second)

  threads   ceiling   reached          min to max   share  speed-up  cores  tokens/s     memory
        1       100      98.0        96.0 to 99.0    98 %     1.00x   1.00    24.5 M     60 MiB
        2       200       186          180 to 190    93 %     1.90x   1.98    46.5 M     80 MiB
  (ceiling: what the table above allows so many threads; share: reached of ceiling;
  speed-up: over 1 thread; cores: processor time over time; memory: the most that the process
  held up to then)

  verdict: tokenize limits: it takes 71 % of a core's time; twice as fast would give 1.55 times the
           tokens/s. With 2 threads the pipeline reaches 93 % of its ceiling (98 % with 1 thread); a
           byte takes 6.5 % more processor time than in the stages alone, since chunks are passed
           on, and stages and threads take room in caches from each other.
)");
}

TEST(BenchText, HasNoRateForAStageThatTakesNoTime) {
  BenchReport report = sample_bench_report();
  report.stages[0].seconds_per_byte = {};
  report.stages[0].first_seconds_per_byte = 0;
  EXPECT_THAT(bench_text(report),
              HasSubstr("  read               -              - to -         -"));
  EXPECT_THAT(bench_text(report), Not(HasSubstr("inf")));
}

TEST(BenchText, BreaksLinesBetweenWords) {
  BenchReport report = sample_bench_report();
  report.passes = 3;
  EXPECT_THAT(bench_text(report),
              HasSubstr("  note: The input holds less text than this and was read up to 3 times "
                        "over: a tokenizer that\n        remembers words looks faster than on new "
                        "text.\n  verdict: tokenize limits"));
}

}  // namespace
}  // namespace penstock
