#pragma once

#include <optional>
#include <vector>

#include "pipeline/pipeline.h"
#include "report/device_clock.h"
#include "report/figures_inbox.h"
#include "report/run_data.h"

namespace penstock {

// Turns what a run tells of itself into rows. Figures of a sink give a row of metrics each, or a
// text sample where they hold a text `predicted`. Where none are expected and none came, the
// progress of the pipeline gives rows of metrics too, as often as rows of occupancy: a row for 0.05
// s, in a long run one for a thousandth of its time, so that a week has fewer than ten thousand.
// One thread.
class HistoryBuilder {
 public:
  struct Options {
    bool expects_figures = false;                    // a sink will tell them
    double tokens_per_batch = MetricsRow::kUnknown;  // for figures that do not tell of tokens
    double earlier_seconds = 0;                      // that an earlier run took
  };
  HistoryBuilder() : HistoryBuilder(Options()) {}
  explicit HistoryBuilder(const Options& options)
      : options_(options), has_figures_(options.expects_figures) {}

  // What is new: `figures` are those that were told since the call before, `now_ns` is the time of
  // `progress`. With `is_last` what is left of the last stretch of time becomes a row.
  RunData add(const RunSummary& progress,
              const std::vector<ToldFigures>& figures,
              const DeviceClock::Reading& device,
              std::int64_t now_ns,
              bool is_last);

 private:
  MetricsRow row_of(const ToldFigures& told, std::int64_t now_ns);
  MetricsRow row_of_progress();
  double cpu_cores_of_row();
  double tokens_before_run(const ToldFigures& told) const;
  void add_stretch(const RunSummary& progress, const DeviceClock::Reading& device, RunData& added);

  const Options options_;
  bool has_figures_;
  std::optional<MetricsRow> told_before_;
  RunSummary before_;          // at the end of the last row of occupancy
  RunSummary earlier_before_;  // and of the row before it
  DeviceClock::Reading device_before_;
  struct ProcessorTime {
    double wall_seconds = 0;  // see RunSummary
    double cpu_seconds = 0;
  };
  ProcessorTime cpu_before_;          // as known at the last row of metrics
  ProcessorTime cpu_earlier_before_;  // and at the row before it
  // Of the last stretch of time.
  RunSummary latest_;
  double tokens_per_second_ = MetricsRow::kUnknown;
  double gpu_busy_ = MetricsRow::kUnknown;
  std::string limiting_stage_;
};

}  // namespace penstock
