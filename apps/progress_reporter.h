#pragma once

#include <cstddef>
#include <memory>

#include "apps/progress_text.h"
#include "pipeline/pipeline.h"
#include "report/periodic_call.h"

namespace penstock {

// Tells on standard error how far a run is: on a terminal with a bar that is redrawn, otherwise
// with a log line now and then. `pipeline` must outlive it.
class ProgressReporter {
 public:
  explicit ProgressReporter(Pipeline& pipeline);
  ~ProgressReporter();
  ProgressReporter(const ProgressReporter&) = delete;
  ProgressReporter& operator=(const ProgressReporter&) = delete;

  // Removes the bar; nothing is reported any more. One thread at a time.
  void stop();

 private:
  class LatestLoss;

  void draw_bar();
  void log_line();

  const Pipeline& pipeline_;
  const bool on_terminal_;
  RecentRates rates_;
  std::shared_ptr<LatestLoss> loss_;  // the pipeline keeps it too
  std::size_t drawn_columns_ = 0;
  PeriodicCall calls_;  // last: its thread uses the others
};

}  // namespace penstock
