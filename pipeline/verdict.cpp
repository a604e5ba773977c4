#include "pipeline/verdict.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

namespace penstock {
namespace {

// Above this share of its time, something has no slack to speak of.
constexpr double kSaturated = 0.85;

// What stages of one node of the graph share.
struct Node {
  int width = 1;
  double busy_seconds = 0;
  const StageSummary* busiest = nullptr;
};

std::string percent(double share) {
  return std::to_string(static_cast<int>(std::lround(share * 100))) + " %";
}

void set_limit(RunSummary& summary, const std::string& name, std::string reason) {
  summary.limiting_stage = name;
  summary.limit_reason = std::move(reason);
}

template <typename Figure>
const StageSummary* highest(const RunSummary& summary, const Figure& figure) {
  return &*std::max_element(
      summary.stages.begin(),
      summary.stages.end(),
      [&](const StageSummary& a, const StageSummary& b) { return figure(a) < figure(b); });
}

// The node narrower than the pool, lanes or one stage at a time, that is busy for most of its time.
Node busiest_narrow_node(const RunSummary& summary) {
  std::map<int, Node> nodes;
  for (const StageSummary& stage : summary.stages) {
    Node& node = nodes[stage.node];
    node.width = std::max(node.width, stage.width);
    node.busy_seconds += stage.busy_seconds;
    if (node.busiest == nullptr || stage.busy_seconds > node.busiest->busy_seconds) {
      node.busiest = &stage;
    }
  }
  const auto share = [](const auto& entry) {
    return entry.second.busy_seconds / entry.second.width;
  };
  return std::max_element(nodes.begin(),
                          nodes.end(),
                          [&](const auto& a, const auto& b) { return share(a) < share(b); })
      ->second;
}

}  // namespace

void judge_limit(RunSummary& summary) {
  double thread_seconds = 0;
  for (const StageSummary& stage : summary.stages) {
    thread_seconds += stage.busy_seconds;
  }
  if (summary.wall_seconds <= 0 || summary.stages.empty()) {
    return;
  }
  const StageSummary* own_thread =
      highest(summary, [](const StageSummary& stage) { return stage.own_thread_seconds; });
  const StageSummary* on_pool =
      highest(summary, [](const StageSummary& stage) { return stage.busy_seconds; });
  const StageSummary& source = summary.stages.front();
  const double own_thread_busy = own_thread->own_thread_seconds / summary.wall_seconds;
  const double threads_busy = thread_seconds / (summary.wall_seconds * summary.threads);
  const double blocked = source.blocked_seconds / (summary.wall_seconds * source.width);
  const Node node = busiest_narrow_node(summary);
  const double node_busy = node.busy_seconds / (summary.wall_seconds * node.width);
  if (own_thread_busy >= kSaturated) {
    set_limit(summary,
              own_thread->name,
              "its own thread was busy " + percent(own_thread_busy) +
                  " of the time, the pipeline's threads " + percent(threads_busy));
  } else if (thread_seconds <= 0) {
    return;
  } else if (threads_busy >= kSaturated) {
    set_limit(summary,
              on_pool->name,
              "the threads were busy " + percent(threads_busy) + " of the time, and it took " +
                  percent(on_pool->busy_seconds / thread_seconds) + " of that");
  } else if (node_busy >= kSaturated) {
    set_limit(summary,
              node.busiest->name,
              "at most " + std::to_string(node.width) + " can work on it at a time, and that was " +
                  percent(node_busy) + " used, while threads were idle");
  } else if (blocked >= 0.5) {
    set_limit(
        summary,
        "memory_limit",
        "reading waited " + percent(blocked) +
            " of the time for bytes in flight to be given back, while the threads were busy " +
            percent(threads_busy));
  } else {
    set_limit(summary,
              on_pool->name,
              "it took the most time, " + percent(on_pool->busy_seconds / thread_seconds) +
                  "; nothing was busy all the time (threads " + percent(threads_busy) + ")");
  }
}

}  // namespace penstock
