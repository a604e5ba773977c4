#include "report/stretch.h"

#include <cstddef>

#include "pipeline/verdict.h"

namespace penstock {

RunSummary stretch_between(const RunSummary& begin, const RunSummary& end) {
  RunSummary stretch = end;
  stretch.wall_seconds -= begin.wall_seconds;
  stretch.cpu_seconds -= begin.cpu_seconds;
  stretch.delivered_tokens = end.new_tokens() - begin.new_tokens();
  stretch.resumed.reset();
  stretch.batches -= begin.batches;
  stretch.text_bytes -= begin.text_bytes;
  for (std::size_t i = 0; i < stretch.stages.size() && i < begin.stages.size(); ++i) {
    StageSummary& stage = stretch.stages[i];
    stage.busy_seconds -= begin.stages[i].busy_seconds;
    stage.own_thread_seconds -= begin.stages[i].own_thread_seconds;
    stage.blocked_seconds -= begin.stages[i].blocked_seconds;
  }
  stretch.limiting_stage.clear();
  judge_limit(stretch);
  return stretch;
}

}  // namespace penstock
