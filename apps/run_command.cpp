#include "apps/run_command.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include "apps/exit_status.h"
#include "apps/progress_reporter.h"
#include "apps/run_report.h"
#include "apps/standard_streams.h"
#include "apps/stop_signal.h"
#include "apps/summary_json.h"
#include "apps/summary_text.h"
#include "pipeline/atomic_file.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/pipeline.h"

namespace penstock {
namespace {

// The stage that has worked most, where no stage is known to limit the run.
std::string likely_culprit(const RunSummary& summary) {
  if (!summary.limiting_stage.empty() || summary.stages.empty()) {
    return summary.limiting_stage;
  }
  return std::max_element(summary.stages.begin(),
                          summary.stages.end(),
                          [](const StageSummary& left, const StageSummary& right) {
                            return left.busy_seconds < right.busy_seconds;
                          })
      ->name;
}

// One `penstock run`. The thread that runs the pipeline also reports, or, when it does not come
// back after a signal, the thread that waits for signals.
class Run {
 public:
  Run(const RunOptions& options, const StageRegistry& registry)
      : options_(options), signals_([this](int signal) { give_up(signal); }) {
    const PipelineConfig config = load_config(options.config_path, registry, options.overrides);
    if (!options.summary_path.empty()) {
      summary_file_.emplace(options.summary_path);
    }
    pipeline_ = std::make_unique<Pipeline>(config, registry);
  }

  int execute() {
    started_ = std::chrono::system_clock::now();
    if (!options_.quiet) {
      progress_.emplace(*pipeline_);
    }
    running_ = pipeline_.get();
    const RunReport report = run_pipeline();
    signals_.end();
    const bool reported = write_report(report);
    switch (report.status) {
      case RunStatus::kFinished:
        return reported ? kExitSuccess : kExitRunFailed;
      case RunStatus::kStopped:
        return kExitSignalBase + signals_.received();
      case RunStatus::kFailed:
        return kExitRunFailed;
    }
    return kExitRunFailed;
  }

 private:
  RunReport run_pipeline() {
    try {
      RunSummary summary = pipeline_->run(signals_.source().get_token());
      const RunStatus status = summary.stopped ? RunStatus::kStopped : RunStatus::kFinished;
      return {status, "", options_.config_path, started_, std::move(summary)};
    } catch (const std::exception& error) {
      return {RunStatus::kFailed,
              full_message(error),
              options_.config_path,
              started_,
              pipeline_->progress()};
    }
  }

  // Ends the process: the run has not ended in time after a signal.
  [[noreturn]] void give_up(int signal) {
    if (const Pipeline* pipeline = running_) {
      RunSummary summary = pipeline->progress();
      std::string error = fmt::format("the run did not stop in time: stage '{}' did not return",
                                      likely_culprit(summary));
      write_report({RunStatus::kStopped,
                    std::move(error),
                    options_.config_path,
                    started_,
                    std::move(summary)});
    }
    ::_exit(kExitSignalBase + signal);
  }

  // Returns whether everything could be written; says why where it could not.
  bool write_report(const RunReport& report) {
    if (progress_) {
      progress_->stop();
    }
    const bool written = succeeds([&] { write_summary_file(report); });
    const bool printed = succeeds([&] { print_summary(report); });
    if (!report.error.empty()) {
      write_standard_error("penstock: " + report.error + '\n');
    }
    return written && printed;
  }

  void write_summary_file(const RunReport& report) {
    if (summary_file_) {
      summary_file_->write(summary_json(report));
      summary_file_->commit();
    }
  }

  void print_summary(const RunReport& report) const {
    if (!options_.quiet) {
      write_standard_output(summary_text(report));
    }
  }

  template <typename Step>
  static bool succeeds(Step step) {
    try {
      step();
      return true;
    } catch (const std::exception& error) {
      write_standard_error("penstock: " + full_message(error) + '\n');
      return false;
    }
  }

  const RunOptions& options_;
  std::optional<AtomicFile> summary_file_;
  std::unique_ptr<Pipeline> pipeline_;
  std::chrono::system_clock::time_point started_;
  std::optional<ProgressReporter> progress_;
  std::atomic<const Pipeline*> running_{nullptr};  // set when all that give_up() uses is there
  StopSignal signals_;                             // last: its thread uses the others
};

}  // namespace

int run_command(const RunOptions& options, const StageRegistry& registry) {
  return Run(options, registry).execute();
}

}  // namespace penstock
