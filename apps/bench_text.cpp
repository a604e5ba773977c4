#include "apps/bench_text.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include <spdlog/fmt/fmt.h>

#include "apps/number_text.h"
#include "apps/paragraph.h"

namespace penstock {
namespace {

// "45.3", "1,234": the unit stands in the head of the column.
std::string megabytes(double bytes_per_second) {
  const std::string rate = data_rate(bytes_per_second);
  return rate.substr(0, rate.rfind(' '));
}

// Of a stage that takes so long for a byte.
std::string rate_of(double seconds_per_byte) {
  return seconds_per_byte > 0 ? megabytes(1 / seconds_per_byte) : "-";
}

std::string range(double min, double max) {
  return megabytes(min) + " to " + megabytes(max);
}

std::string headline(const BenchReport& report) {
  return fmt::format(
      "Measured on {} of text in {}, from the beginning of the input; {} in {}.\n"
      "The first half of it warms up, the second half is timed: new text for stages that already\n"
      "run. Files are read from memory (the page cache), and nothing is written.\n",
      data_size(report.text_bytes),
      counted(report.chunks, "chunk"),
      counted(report.rounds, "round"),
      duration(report.wall_seconds));
}

std::string stage_table(const BenchReport& report) {
  constexpr std::string_view kTogether = "together";
  std::size_t name_width = kTogether.size();
  for (const BenchStage& stage : report.stages) {
    name_width = std::max(name_width, stage.name.size());
  }
  constexpr const char* kRow = "  {:<{}}  {:>8}  {:>18}  {:>8}  {:>7}\n";
  const double sum = core_seconds_per_byte(stage_costs(report));
  std::string table = "One core, each stage alone (MB of text a second)\n\n";
  table += fmt::format(kRow, "stage", name_width, "MB/s", "min to max", "when new", "time");
  double first_sum = 0;
  for (const BenchStage& stage : report.stages) {
    const Spread& cost = stage.seconds_per_byte;
    first_sum += stage.first_seconds_per_byte;
    table += fmt::format(kRow,
                         stage.name,
                         name_width,
                         rate_of(cost.median),
                         rate_of(cost.max) + " to " + rate_of(cost.min),
                         rate_of(stage.first_seconds_per_byte),
                         share_text(cost.median / sum));
  }
  table += fmt::format(
      kRow, kTogether, name_width, megabytes(1 / sum), "", megabytes(1 / first_sum), "100 %");
  table +=
      "  (when new: on the first half, while its caches are empty; time: share of a core's time\n"
      "  for a byte that goes through all stages; together: the most that one core can do)\n";
  return table;
}

std::string run_table(const BenchReport& report) {
  constexpr const char* kRow = "  {:>7}  {:>8}  {:>8}  {:>18}  {:>6}  {:>8}  {:>5}  {:>8}  {:>9}\n";
  std::string table = "The whole pipeline (MB of text a second)\n\n";
  table += fmt::format(kRow,
                       "threads",
                       "ceiling",
                       "reached",
                       "min to max",
                       "share",
                       "speed-up",
                       "cores",
                       "tokens/s",
                       "memory");
  const BenchRun& fewest = report.runs.front();
  for (const BenchRun& run : report.runs) {
    const Spread& reached = run.bytes_per_second;
    table += fmt::format(kRow,
                         run.threads,
                         megabytes(run.ceiling),
                         megabytes(reached.median),
                         range(reached.min, reached.max),
                         share_text(run.share.median),
                         fmt::format("{:.2f}x", reached.median / fewest.bytes_per_second.median),
                         fmt::format("{:.2f}", run.cores_used),
                         si_number(reached.median * tokens_per_byte(report)),
                         memory_size(run.peak_resident_bytes));
  }
  table += fmt::format(
      "  (ceiling: what the table above allows so many threads; share: reached of ceiling;\n"
      "  speed-up: over {}; cores: processor time over time; memory: the most that the process\n"
      "  held up to then)\n",
      counted(fewest.threads, "thread"));
  return table;
}

}  // namespace

std::string bench_text(const BenchReport& report) {
  std::string text =
      headline(report) + '\n' + stage_table(report) + '\n' + run_table(report) + '\n';
  for (const std::string& note : bench_notes(report)) {
    text += paragraph("  note:", note);
  }
  return text + paragraph("  verdict:", bench_verdict(report));
}

}  // namespace penstock
