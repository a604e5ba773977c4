#include "report/live_page.h"

#include "report/chart.h"
#include "report/run_state.h"

namespace penstock {

PageData live_page(const Pipeline& pipeline,
                   const RunRecorder& recorder,
                   const std::string& config,
                   const RunRecorder::Position& position) {
  PageData page;
  page.state = state_of(pipeline.progress(), config);
  page.is_live = page.state.status == "running";
  page.data = recorder.since(position);
  page.position = {position.metrics + page.data.metrics.size(),
                   position.occupancy + page.data.occupancy.size(),
                   position.samples + page.data.samples.size()};
  recorder.look([&](const RunData& all) {
    page.verdict = verdict_of(page.state, all.occupancy);
    page.standings = standings_of(all.metrics);
    page.axis = pipeline.has_figures() ? Axis::kStep : axis_of(all.metrics);
    if (!all.metrics.empty()) {
      page.latest = all.metrics.back();
    }
  });
  return page;
}

}  // namespace penstock
