#include "apps/bench_report.h"

#include <algorithm>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "apps/endless_run.h"
#include "apps/number_text.h"

namespace penstock {
namespace {

// A share of the ceiling that differs from another by less tells nothing.
constexpr double kNoise = 0.03;

bool is_crowded(const BenchRun& run) {
  return run.processor_share < 0.95;
}

std::string limit_sentence(const BenchReport& report, const BenchRun& run) {
  const CeilingLimit limit = find_limit(stage_costs(report), cores_of(report, run));
  const BenchStage& stage = report.stages[limit.stage];
  std::string reason = "it takes " + share_text(limit.core_share) + " of a core's time";
  if (limit.narrow) {
    reason = fmt::format("at most {} can work on it at a time, and that is too little for {}",
                         counted(*limit.narrow, "thread"),
                         counted(run.threads, "thread"));
  }
  return fmt::format("{} limits: {}; twice as fast would give {:.2f} times the tokens/s.",
                     stage.name,
                     reason,
                     limit.gain_twice_as_fast);
}

// Where the part of the ceiling goes that the run does not reach.
std::string rest_sentence(const BenchReport& report, const BenchRun& run) {
  const double missing = 1 - run.share.median;
  if (missing < -kNoise) {
    return "that is more than its stages alone allow, so it is noise, or caches are warmer there";
  }
  if (missing < kNoise) {
    return "there is nothing to gain but from faster stages";
  }
  if (is_crowded(run)) {
    return fmt::format(
        "other programs took processors from it, and for the processor time that it got, {} would "
        "be right",
        share_text(work_share(report, run)));
  }
  if (run.memory_limited) {
    return "reading waits for memory_limit, so raise that first";
  }
  const int cores = cores_of(report, run);
  const double idle = 1 - run.cores_used / cores;
  if (idle > missing / 2) {
    return fmt::format("its threads had nothing to do for {} of the time", share_text(idle));
  }
  const double extra = 1 / work_share(report, run) - 1;
  return fmt::format(
      "a byte takes {} more processor time than in the stages alone, since chunks are passed on, "
      "and stages and threads take room in caches from each other",
      share_text(extra));
}

// " (98 % with 1 thread)" where that is another share.
std::string share_of_fewest(const BenchReport& report, const BenchRun& run) {
  const BenchRun& fewest = report.runs.front();
  if (std::abs(fewest.share.median - run.share.median) < kNoise) {
    return "";
  }
  return fmt::format(
      " ({} with {})", share_text(fewest.share.median), counted(fewest.threads, "thread"));
}

}  // namespace

std::string share_text(double share) {
  return fmt::format("{:.{}f} %", share * 100, share < 0.0995 ? 1 : 0);
}

double tokens_per_byte(const BenchReport& report) {
  return static_cast<double>(report.timed_tokens) / static_cast<double>(report.timed_text_bytes);
}

std::vector<StageCost> stage_costs(const BenchReport& report) {
  std::vector<StageCost> costs;
  for (const BenchStage& stage : report.stages) {
    costs.push_back({stage.name, stage.node, stage.width, stage.seconds_per_byte.median});
  }
  return costs;
}

int cores_of(const BenchReport& report, const BenchRun& run) {
  return std::min(run.threads, report.processors);
}

double work_share(const BenchReport& report, const BenchRun& run) {
  return run.bytes_per_second.median * core_seconds_per_byte(stage_costs(report)) / run.cores_used;
}

std::vector<std::string> bench_notes(const BenchReport& report) {
  constexpr int kFewRounds = 3;
  std::vector<std::string> notes;
  const int threads = report.runs.back().threads;
  if (report.rounds < kFewRounds) {
    notes.push_back("Only " + counted(report.rounds, "round") +
                    " fitted into --seconds, so the spread tells little.");
  }
  if (report.chunks / 2 < std::int64_t{kLeastChunks} * threads) {
    notes.push_back(fmt::format(
        "The timed half has only {}, too few for {}, so runs went on behind the sample, where text "
        "may be faster or slower; raise --seconds (or --capture, if the time is not used up).",
        counted(report.chunks / 2, "chunk"),
        counted(threads, "thread")));
  }
  if (report.passes > 1) {
    notes.push_back(fmt::format(
        "The input holds less text than this and was read up to {} times over: a tokenizer that "
        "remembers words looks faster than on new text.",
        report.passes));
  }
  const auto crowded = std::find_if(report.runs.begin(), report.runs.end(), is_crowded);
  if (crowded != report.runs.end()) {
    notes.push_back(fmt::format(
        "Other programs were busy meanwhile: {} that had work got a processor for {} of the time. "
        "What the pipeline reached is too low; measure on a machine that does nothing else.",
        counted(crowded->threads, "thread"),
        share_text(crowded->processor_share)));
  }
  if (threads > report.processors) {
    notes.push_back(
        fmt::format("There are fewer processors ({}) than threads ({}); the ceiling "
                    "counts processors.",
                    report.processors,
                    threads));
  }
  return notes;
}

std::string bench_verdict(const BenchReport& report) {
  const BenchRun& run = report.runs.back();
  return fmt::format("{} With {} the pipeline reaches {} of its ceiling{}; {}.",
                     limit_sentence(report, run),
                     counted(run.threads, "thread"),
                     share_text(run.share.median),
                     share_of_fewest(report, run),
                     rest_sentence(report, run));
}

}  // namespace penstock
