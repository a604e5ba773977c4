#include "apps/run_command.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include "apps/exit_status.h"
#include "apps/number_text.h"
#include "apps/progress_reporter.h"
#include "apps/run_report.h"
#include "apps/standard_streams.h"
#include "apps/stop_signal.h"
#include "apps/summary_json.h"
#include "apps/summary_text.h"
#include "pipeline/atomic_file.h"
#include "pipeline/checkpoint_folder.h"
#include "pipeline/checkpoint_writer.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/metrics.h"
#include "pipeline/pipeline.h"
#include "pipeline/trace_file.h"
#include "report/live_page.h"
#include "report/live_server.h"
#include "report/report_page.h"
#include "report/run_folder.h"
#include "report/run_recorder.h"

namespace penstock {
namespace {

constexpr const char* kNotInTime = "the run did not stop in time";

// Why a run did not stop in time: the stage with the call that has been under way longest, or else
// a sink that keeps batches.
std::string stuck_error(const RunSummary& summary) {
  const auto slowest = std::max_element(summary.stages.begin(),
                                        summary.stages.end(),
                                        [](const StageSummary& left, const StageSummary& right) {
                                          return left.under_way_seconds < right.under_way_seconds;
                                        });
  std::string error = kNotInTime;
  if (slowest != summary.stages.end() && slowest->under_way_seconds > 0) {
    return error + ": stage " + quoted_name(slowest->name, slowest->plugin) + " did not return";
  }
  for (const StageSummary& stage : summary.stages) {
    if (stage.outstanding > 0) {
      error += ": sink " + quoted_name(stage.name, stage.plugin) + " keeps the completions of " +
               std::to_string(stage.outstanding) + (stage.outstanding == 1 ? " batch" : " batches");
      break;
    }
  }
  return error;
}

std::string error_line(const std::string& error) {
  return "penstock: " + error + '\n';
}

// Returns what went wrong in `step`, as a line; nothing where all went well.
template <typename Step>
std::string error_of(Step step) {
  try {
    step();
    return {};
  } catch (const std::exception& error) {
    return error_line(full_message(error));
  }
}

// One `penstock run`. The thread that runs the pipeline also reports. After a signal, the thread
// that waits for signals ends the process if the run or the report does not come to an end.
class Run {
 public:
  Run(const RunOptions& options, const StageRegistry& registry)
      : options_(options), signals_([this](int signal) { give_up(signal); }) {
    const PipelineConfig config = load_config(options.config, registry, options.overrides);
    const std::optional<ResumePoint> resume = find_resume_point(config.run);
    pipeline_ = resume ? std::make_unique<Pipeline>(config, registry, *resume)
                       : std::make_unique<Pipeline>(config, registry);
    resumed_from_ = resume ? resume->folder : "";
    make_checkpoints(config.run, resume);
    if (!options.summary_path.empty() && !summary_is_printed()) {
      claim_output("the summary", options.summary_path);
      summary_files_.emplace_back(options.summary_path);
    }
    prepare_folder(options.run_folder.empty() ? config.run.text("run_folder") : options.run_folder,
                   resume ? steps_before(config, resume->position.next_batch) : 0);
    if (!options.serve.empty()) {
      prepare_server();
    }
    if (!options.trace_path.empty()) {
      claim_output("the trace", options.trace_path);
      trace_ = std::make_shared<TraceFile>(options.trace_path);
      pipeline_->listen(trace_);
    }
  }

  int execute() {
    started_ = std::chrono::system_clock::now();
    if (!options_.quiet) {
      progress_.emplace(*pipeline_);
    }
    if (recorder_) {
      recorder_->start();
    }
    if (server_) {
      server_->start();
      write_standard_error("See the run at " + server_->url() + '\n');
    }
    phase_ = Phase::kRunning;
    RunReport report = run_pipeline();
    if (phase_.exchange(Phase::kReporting) == Phase::kReporting) {
      signals_.end();  // does not return: its thread is ending the process
    }
    warn_of_trace(report);
    end_history(report);
    const bool reported = write_report(report);
    server_.reset();  // it looks at the pipeline
    // May wait for what a sink is still doing; the deadline of a stop holds for that too.
    pipeline_.reset();
    reported_.set_value();
    signals_.end();
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
  std::optional<ResumePoint> find_resume_point(const StageConfig& run) {
    if (options_.resume.empty()) {
      return std::nullopt;
    }
    const bool latest = options_.resume == "latest";
    if (latest && !makes_checkpoints(run)) {
      throw FileError(
          "'--resume latest' takes the last checkpoint in checkpoint_folder, but this option of "
          "the configuration is not set");
    }
    FoundCheckpoint found = latest ? latest_checkpoint(run.text("checkpoint_folder"))
                                   : find_checkpoint(options_.resume);
    for (const std::string& warning : found.warnings) {
      write_standard_error("warning: " + warning + '\n');
    }
    return std::move(found.point);
  }

  static bool makes_checkpoints(const StageConfig& run) {
    return run.text("checkpoint_folder") != "none";
  }

  void make_checkpoints(const StageConfig& run, const std::optional<ResumePoint>& resume) {
    if (!makes_checkpoints(run)) {
      return;
    }
    CheckpointWriter::Options options;
    options.folder = run.text("checkpoint_folder");
    options.every = run.integer("checkpoint_every");
    options.keep = run.integer("checkpoint_keep");
    options.next_batch = resume ? resume->position.next_batch : 0;
    // At once, on a line of its own: the run may go on for days.
    options.on_problem = [](const std::string& error) {
      write_standard_error("\nwarning: " + error + '\n');
    };
    pipeline_->set_checkpoints(std::make_shared<CheckpointWriter>(std::move(options)));
  }

  enum class Phase { kPreparing, kRunning, kReporting };

  // Batches, or steps of as many batches as lm_train takes for one.
  static std::int64_t steps_before(const PipelineConfig& config, std::int64_t num_batches) {
    for (const StageConfig& stage : config.stages) {
      if (stage.values().contains("accumulate")) {
        return num_batches / stage.integer("accumulate");
      }
    }
    return num_batches;
  }

  // What the folder holds is replaced, but for the history of the steps before.
  void prepare_folder(const std::string& path, std::int64_t steps_before) {
    if (path.empty()) {
      if (!options_.serve.empty()) {
        recorder_.emplace(*pipeline_, std::nullopt, RunData());
      }
      return;
    }
    folder_ = RunFolder{path};
    make_run_folder(*folder_);
    for (const std::string& name : run_folder_files()) {
      claim_output("the run folder's", folder_->file(name));
    }
    // Open all the while, so that two runs do not share a folder.
    summary_files_.emplace_back(folder_->file(RunFolder::kSummary));
    recorder_.emplace(
        *pipeline_,
        folder_,
        steps_before > 0 && std::filesystem::exists(folder_->file(RunFolder::kMetrics))
            ? up_to_step(read_run_data(*folder_), steps_before)
            : RunData());
  }

  // Takes the port, so that a run does not begin which nobody can see.
  void prepare_server() {
    try {
      server_.emplace(parse_listen_address(options_.serve),
                      [this](const RunRecorder::Position& position) {
                        return live_page(*pipeline_, *recorder_, options_.config.path, position);
                      });
    } catch (const std::runtime_error& error) {
      throw ConfigError({{"--serve " + options_.serve, error.what()}});
    }
  }

  void claim_output(const std::string& what, const std::string& path) {
    try {
      pipeline_->claim_output(path);
    } catch (const std::runtime_error& error) {
      throw FileError(what + " " + error.what());
    }
  }

  RunReport run_pipeline() {
    try {
      RunSummary summary = pipeline_->run(signals_.source().get_token());
      const RunStatus status = summary.stopped ? RunStatus::kStopped : RunStatus::kFinished;
      return {status, "", options_.config.path, started_, std::move(summary)};
    } catch (const std::exception& error) {
      RunSummary summary = pipeline_->progress();
      std::string text = full_message(error) + last_checkpoint(summary);
      return {
          RunStatus::kFailed, std::move(text), options_.config.path, started_, std::move(summary)};
    }
  }

  // What a run that failed can go on from, if it makes checkpoints.
  std::string last_checkpoint(const RunSummary& summary) const {
    if (!summary.checkpoints) {
      return "";
    }
    const std::string& last =
        summary.checkpoints->written > 0 ? summary.checkpoints->last : resumed_from_;
    return last.empty() ? "; there is no checkpoint to go on from"
                        : "; the last checkpoint is '" + last + "'";
  }

  // Ends the process, unless the report of a run that has ended is written within the grace.
  void give_up(int signal) {
    Phase phase = Phase::kRunning;
    const bool stuck = phase_.compare_exchange_strong(phase, Phase::kReporting);
    if (stuck) {
      // In a thread that nobody waits for: whoever takes the report may never do so.
      std::thread([this] { report_stuck(); }).detach();
    }
    if (phase == Phase::kPreparing) {
      write_standard_error(error_line(std::string(kNotInTime) + ": a stage was still being made"));
    }
    const bool reported =
        phase != Phase::kPreparing &&
        reported_.get_future().wait_for(options_.report_grace) == std::future_status::ready;
    if (stuck || !reported) {
      ::_exit(kExitSignalBase + signal);
    }
  }

  // The process may end at any point of it. What tells why it ends comes first, then the trace,
  // which may be large and on a slow disk.
  void report_stuck() {
    RunSummary summary = pipeline_->progress();
    std::string error = stuck_error(summary);
    RunReport report = {
        RunStatus::kStopped, std::move(error), options_.config.path, started_, std::move(summary)};
    warn_of_trace(report);
    end_history(report);
    const std::string summary_error = error_of([&] { write_summary_files(report); });
    stop_progress();
    write_standard_error(messages(report) + summary_error);
    write_standard_error(error_of([&] { write_page(); }));
    write_standard_error(error_of([&] { finish_trace(); }));
    error_of([&] { print_summary(report); });
    reported_.set_value();
  }

  // Returns whether everything could be written; says why where it could not. The files come first:
  // a pipe or a terminal may never take the rest.
  bool write_report(const RunReport& report) {
    const std::string file_errors = write_files(report);
    stop_progress();
    const std::string print_error = error_of([&] { print_summary(report); });
    write_standard_error(messages(report) + file_errors + print_error);
    return file_errors.empty() && print_error.empty();
  }

  void warn_of_trace(RunReport& report) const {
    const std::int64_t dropped = trace_ ? trace_->num_dropped() : 0;
    if (dropped > 0) {
      report.summary.warnings.push_back(fmt::format(
          "the trace '{}' holds the first {} spans of the run; {} later ones are not in it",
          options_.trace_path,
          grouped(TraceFile::kMaxEvents),
          grouped(dropped)));
    }
  }

  void end_history(RunReport& report) {
    if (!recorder_) {
      return;
    }
    recorder_->stop();
    const std::string problem = recorder_->problem();
    if (!problem.empty()) {
      report.summary.warnings.push_back(problem);
    }
  }

  // Returns what went wrong, as lines. The trace comes last: it may be large.
  std::string write_files(const RunReport& report) {
    const std::string summary_error = error_of([&] { write_summary_files(report); });
    const std::string page_error = error_of([&] { write_page(); });
    return summary_error + page_error + error_of([&] { finish_trace(); });
  }

  void write_page() const {
    if (folder_) {
      write_report_page(*folder_);
    }
  }

  void finish_trace() {
    if (trace_) {
      trace_->finish();
    }
  }

  void stop_progress() {
    if (progress_) {
      progress_->stop();
    }
  }

  bool summary_is_printed() const { return options_.summary_path == "-"; }

  void write_summary_files(const RunReport& report) {
    for (AtomicFile& file : summary_files_) {
      file.write(summary_json(report));
      file.commit();
    }
  }

  void print_summary(const RunReport& report) const {
    if (summary_is_printed()) {
      write_standard_output(summary_json(report));
    } else if (!options_.quiet) {
      write_standard_output(
          summary_text(report) +
          (folder_ ? "\n  charts and samples: " + folder_->file(RunFolder::kReport) + '\n' : ""));
    }
  }

  static std::string messages(const RunReport& report) {
    std::string lines = report.error.empty() ? "" : error_line(report.error);
    for (const std::string& warning : report.summary.warnings) {
      lines += "warning: " + warning + '\n';
    }
    return lines;
  }

  const RunOptions& options_;
  std::unique_ptr<Pipeline> pipeline_;
  std::string resumed_from_;  // path of a checkpoint
  std::optional<RunFolder> folder_;
  std::deque<AtomicFile> summary_files_;
  std::shared_ptr<TraceFile> trace_;  // the pipeline keeps it too
  std::chrono::system_clock::time_point started_;
  std::optional<ProgressReporter> progress_;
  std::optional<RunRecorder> recorder_;
  std::optional<LiveServer> server_;
  std::atomic<Phase> phase_{Phase::kPreparing};  // who sets kReporting reports
  std::promise<void> reported_;
  StopSignal signals_;  // last: its thread uses the others
};

}  // namespace

int run_command(const RunOptions& options, const StageRegistry& registry) {
  return Run(options, registry).execute();
}

}  // namespace penstock
