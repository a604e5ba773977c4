#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/chart.h"
#include "report/run_data.h"
#include "report/run_recorder.h"
#include "report/run_state.h"

namespace penstock {

// What the page shows, as JSON without a line break; docs/run-folder.md describes it.
struct PageData {
  RunState state;
  std::vector<std::string> verdict;
  std::vector<Standing> standings;
  MetricsRow latest;  // the last row there is
  Axis axis = Axis::kStep;
  RunData data;                    // the whole history, or what has come since the page asked
  RunRecorder::Position position;  // behind `data`
  bool is_live = false;            // more will come
};
std::string page_json(const PageData& page);

// Of a run that is over, or at least is not asked again.
PageData page_of(const RunState& state, RunData data);

}  // namespace penstock
