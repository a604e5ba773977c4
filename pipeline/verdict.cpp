#include "pipeline/verdict.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace penstock {
namespace {

// Above this share of its time, something has no slack to speak of.
constexpr double kSaturated = 0.85;

std::string percent(double share) {
  return std::to_string(static_cast<int>(std::lround(share * 100))) + " %";
}

const StageSummary* busiest(const std::vector<const StageSummary*>& stages) {
  const auto most = std::max_element(
      stages.begin(), stages.end(), [](const StageSummary* a, const StageSummary* b) {
        return a->busy_seconds < b->busy_seconds;
      });
  return most == stages.end() ? nullptr : *most;
}

void set_limit(RunSummary& summary, const StageSummary& stage, std::string reason) {
  summary.limiting_stage = stage.name;
  summary.limit_reason = std::move(reason);
}

}  // namespace

void judge_limit(RunSummary& summary) {
  std::vector<const StageSummary*> sinks;
  std::vector<const StageSummary*> on_threads;  // stages that run on the pool's threads
  const auto is_sink = [&](const StageSummary& stage) {
    return std::find(summary.sink_stages.begin(), summary.sink_stages.end(), stage.name) !=
           summary.sink_stages.end();
  };
  double thread_seconds = 0;
  for (const StageSummary& stage : summary.stages) {
    if (is_sink(stage)) {
      sinks.push_back(&stage);
    } else {
      on_threads.push_back(&stage);
      thread_seconds += stage.busy_seconds;
    }
  }
  const StageSummary* sink = busiest(sinks);
  const StageSummary* stage = busiest(on_threads);
  if (stage == nullptr || summary.wall_seconds <= 0 || thread_seconds <= 0) {
    return;
  }
  const double threads_busy = thread_seconds / (summary.wall_seconds * summary.threads);
  const StageSummary& source = summary.stages.front();
  if (sink != nullptr && sink->busy_share >= kSaturated) {
    set_limit(summary,
              *sink,
              "it was busy " + percent(sink->busy_share) +
                  " of the time while the threads before it were busy " + percent(threads_busy));
  } else if (threads_busy >= kSaturated) {
    set_limit(summary,
              *stage,
              "the threads were busy " + percent(threads_busy) + " of the time, and it took " +
                  percent(stage->busy_seconds / thread_seconds) + " of that");
  } else if (stage->busy_share >= kSaturated) {
    set_limit(summary,
              *stage,
              "it was busy " + percent(stage->busy_share) + " of the time in each of its " +
                  std::to_string(stage->width) + " places, while threads were idle");
  } else if (source.blocked_seconds / (summary.wall_seconds * source.width) >= 0.5) {
    set_limit(summary,
              source,
              "reading was held back " +
                  percent(source.blocked_seconds / (summary.wall_seconds * source.width)) +
                  " of the time; what is behind it waits, or memory_limit is too small");
  } else {
    set_limit(summary,
              *stage,
              "it took the most time, " + percent(stage->busy_seconds / thread_seconds) +
                  "; nothing was busy all the time (threads " + percent(threads_busy) + ")");
  }
}

}  // namespace penstock
