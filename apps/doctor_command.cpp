#include "apps/doctor_command.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <unistd.h>

#include "apps/configured_run.h"
#include "apps/diagnosis.h"
#include "apps/diagnosis_text.h"
#include "apps/endless_run.h"
#include "apps/exit_status.h"
#include "apps/option_change.h"
#include "apps/processor_share.h"
#include "apps/standard_streams.h"
#include "apps/status_line.h"
#include "apps/stop_signal.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/graph_run.h"
#include "pipeline/stage_replay.h"

namespace penstock {
namespace {

// Shares of the time that there is. What is left goes to building and to the copies of the sample.
constexpr double kFeedRun = 0.15;
constexpr double kConfiguredRun = 0.25;
constexpr double kReplay = 0.2;
constexpr double kTrials = 0.35;

constexpr std::size_t kMostTrials = 3;
// Of batches that wait for a slow sink, in a run that is measured.
constexpr std::int64_t kWaitingBytes = std::int64_t{128} << 20;

// A file that bad records go to instead of the configured one; removed at the end.
class QuarantineStandIn {
 public:
  QuarantineStandIn()
      : path_(std::filesystem::temp_directory_path() /
              ("penstock-doctor-" + std::to_string(::getpid()) + ".jsonl")) {}
  ~QuarantineStandIn() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  QuarantineStandIn(const QuarantineStandIn&) = delete;
  QuarantineStandIn& operator=(const QuarantineStandIn&) = delete;

  std::string path() const { return path_.string(); }

 private:
  const std::filesystem::path path_;
};

// Whether the stage has such an option, and it is not empty.
bool has_text(const StageConfig& stage, const std::string& option) {
  try {
    return !stage.text(option).empty();
  } catch (const std::logic_error&) {
    return false;
  }
}

// Overrides without which a run would replace what an earlier run wrote.
std::vector<std::string> without_files(const PipelineConfig& config,
                                       const std::string& quarantine) {
  std::vector<std::string> overrides = {
      "quarantine=" + quarantine, "checkpoint_folder=none", "run_folder="};
  const std::vector<std::string> labels = stage_labels(config.stages);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (const char* option : {"reports", "samples", "save_weights"}) {
      if (config.stages[i].stage() == "device" && has_text(config.stages[i], option)) {
        overrides.push_back(labels[i] + '.' + option + '=');
      }
    }
  }
  return overrides;
}

// 0 where the stage has no such option.
std::int64_t integer_option(const StageConfig& stage, const std::string& name) {
  try {
    return stage.integer(name);
  } catch (const std::logic_error&) {
    return 0;
  }
}

// Bytes that this process can have: of the machine, or of its control group (version 2).
std::int64_t machine_memory() {
  std::int64_t bytes = std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
  std::int64_t allowed = 0;
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> allowed) {  // else "max", or no such file
    bytes = std::min(bytes, allowed);
  }
  return bytes;
}

// One `penstock doctor`.
class Doctor {
 public:
  Doctor(const DoctorOptions& options, const StageRegistry& registry)
      : options_(options),
        registry_(registry),
        overrides_(options.overrides),
        config_(load(overrides_)),
        signals_([](int signal) { ::_exit(kExitSignalBase + signal); }) {
    overrides_.emplace_back("max_errors=none");
    for (std::string& override : without_files(config_, quarantine_.path())) {
      overrides_.push_back(std::move(override));
    }
    config_ = load(overrides_);
  }

  int execute() {
    Diagnosis diagnosis;
    try {
      measure();
      if (signals_.received() == 0) {
        diagnosis = diagnose(evidence_);
        try_remedies(diagnosis);
      }
    } catch (const std::exception& error) {
      status_.show("");
      write_standard_error("penstock: " + full_message(error) + '\n');
      return kExitRunFailed;
    }
    status_.show("");
    if (signals_.received() != 0) {
      return kExitSignalBase + signals_.received();
    }
    signals_.release();
    write_standard_output(diagnosis_text(evidence_, diagnosis));
    return kExitSuccess;
  }

 private:
  PipelineConfig load(const std::vector<std::string>& overrides) const {
    return load_config(options_.config, registry_, overrides);
  }

  void measure() {
    const std::stop_token stop = signals_.source().get_token();
    status_.show("the pipeline without sinks");
    const EndlessRun feed = run_for(kFeedRun * options_.seconds, config_, registry_, stop);
    if (stop.stop_requested()) {
      return;
    }
    feed_peak_bytes_ = feed.summary.peak_in_flight_bytes;
    feed_workers_ = feed.summary.threads + feed.summary.stages.front().width;
    status_.show("the run as configured");
    const ConfiguredRun run = run_with({}, kConfiguredRun * options_.seconds, stop);
    if (stop.stop_requested()) {
      return;
    }
    status_.show("each stage alone");
    StageReplay replay(config_, registry_);
    capture(replay, feed, stop);
    const std::vector<ReplayTime> times = replay.measure(stop);
    if (stop.stop_requested()) {
      return;
    }
    set_machine(run.stretch);
    set_costs(replay, times);
    set_feed(feed);
    set_run(run);
    evidence_.read_again = run.passes > 1 || replay.passes() > 1;
    set_sink(run);
  }

  // A run whose sink is slow fills memory_limit with batches before it is what it will be for the
  // rest of its time. What it needs to run at full speed is known from the run without sinks; with
  // more threads and lanes there are as many more chunks in flight.
  std::int64_t memory_that_is_enough(const std::vector<OptionChange>& changes) const {
    int workers = feed_workers_;
    for (const OptionChange& change : changes) {
      if (change.option == "threads") {
        workers += std::stoi(change.value) - evidence_.threads;
      } else if (change.option == "lanes") {
        workers += std::stoi(change.value) - evidence_.lanes;
      }
    }
    return kWaitingBytes + 2 * feed_peak_bytes_ * std::max(workers, feed_workers_) / feed_workers_;
  }

  // Throws std::runtime_error where the time is too short.
  ConfiguredRun run_with(const std::vector<OptionChange>& changes,
                         double seconds,
                         const std::stop_token& stop) const {
    std::vector<std::string> overrides = overrides_;
    if (const std::int64_t enough = memory_that_is_enough(changes);
        enough < config_.run.integer("memory_limit")) {
      overrides.push_back(config_override({"", "memory_limit", std::to_string(enough)}));
    }
    for (const OptionChange& change : changes) {
      overrides.push_back(config_override(change));
    }
    ConfiguredRun run = run_as_configured(seconds, load(overrides), registry_, stop);
    if (run.stretch.wall_seconds <= 0 && !stop.stop_requested()) {
      throw std::runtime_error(
          "no two batches were completed in the time that there was; raise --seconds");
    }
    return run;
  }

  // Those that the configuration can make, the most promising ones.
  void try_remedies(Diagnosis& diagnosis) {
    std::vector<Remedy*> trials;
    for (Remedy& remedy : diagnosis.remedies) {
      if (!remedy.changes.empty() && trials.size() < kMostTrials) {
        trials.push_back(&remedy);
      }
    }
    const double seconds =
        kTrials * options_.seconds / static_cast<double>(std::max<std::size_t>(trials.size(), 1));
    const std::stop_token stop = signals_.source().get_token();
    for (Remedy* remedy : trials) {
      status_.show("trying " + config_line(remedy->changes.front()) +
                   (remedy->changes.size() > 1 ? " and more" : ""));
      try {
        const ConfiguredRun run = run_with(remedy->changes, seconds, stop);
        if (stop.stop_requested()) {
          return;
        }
        remedy->tried = bytes_per_second(run);
      } catch (const std::exception& error) {
        remedy->failure = full_message(error);
      }
    }
    sort_by_gain(diagnosis.remedies);
  }

  // What sinks have finished with: reading runs ahead of them.
  double bytes_per_second(const ConfiguredRun& run) const {
    return static_cast<double>(run.stretch.batches) * run.tokens_per_batch /
           run.stretch.wall_seconds / evidence_.tokens_per_byte;
  }

  // As much text as one core can go through twice in the time that there is.
  void capture(StageReplay& replay, const EndlessRun& feed, const std::stop_token& stop) const {
    const double core_rate =
        static_cast<double>(feed.text_bytes) / std::max(feed.cpu_seconds, 1e-3);
    const double bytes = core_rate * kReplay * options_.seconds / 2;
    replay.capture(
        std::max<std::int64_t>(
            1, std::min<std::int64_t>(std::int64_t{64} << 20, static_cast<std::int64_t>(bytes))),
        stop);
  }

  void set_machine(const RunSummary& summary) {
    evidence_.processors = available_threads();
    evidence_.threads = summary.threads;
    evidence_.memory_limit = config_.run.integer("memory_limit");
    evidence_.machine_memory = machine_memory();
    evidence_.peak_in_flight_bytes = summary.peak_in_flight_bytes;
    evidence_.lanes = summary.stages.front().width;
    evidence_.has_lanes_option = integer_option(config_.stages.front(), "lanes") > 0;
    const std::vector<std::string> labels = stage_labels(config_.stages);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const StageType* type = registry_.find(config_.stages[i].stage());
      if (std::holds_alternative<AssemblerFactory>(type->factory)) {
        evidence_.batching_stage = labels[i];
        evidence_.batch_size = integer_option(config_.stages[i], "batch_size");
      }
      evidence_.slots = std::max(evidence_.slots, integer_option(config_.stages[i], "slots"));
    }
  }

  void set_costs(const StageReplay& replay, const std::vector<ReplayTime>& times) {
    double text_bytes = 0;
    double tokens = 0;
    for (std::size_t i = replay.sample().size() / 2; i < replay.sample().size(); ++i) {
      text_bytes += static_cast<double>(replay.sample()[i].text_bytes);
      tokens += static_cast<double>(replay.sample()[i].tokens);
    }
    evidence_.tokens_per_byte = tokens / text_bytes;
    for (std::size_t i = 0; i < times.size(); ++i) {
      const ReplayedStage& stage = replay.stages()[i];
      evidence_.costs.push_back(
          {stage.name, stage.node, stage.width, times[i].second_half / text_bytes});
    }
  }

  void set_feed(const EndlessRun& feed) {
    const int cores = std::min(evidence_.threads, evidence_.processors);
    evidence_.processor_share = processor_share(feed.summary, cores);
    evidence_.feed_bytes_per_second = static_cast<double>(feed.text_bytes) / feed.seconds;
  }

  void set_run(const ConfiguredRun& run) {
    const RunSummary& stretch = run.stretch;
    evidence_.seconds = stretch.wall_seconds;
    evidence_.bytes_per_second = bytes_per_second(run);
    for (const StageSummary& stage : stretch.stages) {
      if (stage.name == "decompress" && stage.bytes_in > 0) {
        evidence_.expansion =
            static_cast<double>(stage.bytes_out) / static_cast<double>(stage.bytes_in);
      }
    }
    double busy_seconds = 0;
    for (const StageSummary& stage : stretch.stages) {
      busy_seconds += stage.busy_seconds;
    }
    evidence_.threads_busy = std::min(1.0, busy_seconds / (stretch.wall_seconds * stretch.threads));
    const StageSummary& source = stretch.stages.front();
    evidence_.reading_blocked =
        std::min(1.0, source.blocked_seconds / (stretch.wall_seconds * source.width));
    if (stretch.text_bytes > 0) {
      const double busy = source.busy_seconds / static_cast<double>(stretch.text_bytes);
      const double working = evidence_.costs.front().seconds_per_byte / evidence_.processor_share;
      evidence_.disk_wait = std::max(0.0, busy - working);
    }
    // What lies within the noise of two measurements is no wait.
    if (evidence_.disk_wait < 0.1 * core_seconds_per_byte(evidence_.costs)) {
      evidence_.disk_wait = 0;
    }
  }

  // Sinks are the last rows, as many as the configuration has.
  void set_sink(const ConfiguredRun& run) {
    const std::vector<std::string> labels = stage_labels(config_.stages);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const StageType* type = registry_.find(config_.stages[i].stage());
      if (!std::holds_alternative<SinkFactory>(type->factory)) {
        continue;
      }
      for (const StageSummary& row : run.stretch.stages) {
        if (row.name == labels[i]) {
          consider_sink(row, run.stretch.wall_seconds);
        }
      }
    }
    evidence_.sink_is_device = evidence_.sink.substr(0, evidence_.sink.find('[')) == "device";
    if (evidence_.sink_is_device) {
      evidence_.gpu_busy = run.gpu_busy;
      evidence_.copy_busy = run.copy_busy;
    }
  }

  void consider_sink(const StageSummary& row, double seconds) {
    const double own = row.own_thread_seconds / seconds;
    const double on_pool = row.busy_seconds / (row.width * seconds);
    const double busy = std::min(1.0, std::max(own, on_pool));
    if (busy > evidence_.sink_busy) {
      evidence_.sink = row.name;
      evidence_.sink_busy = busy;
      evidence_.sink_has_thread = own > on_pool;
    }
  }

  const DoctorOptions& options_;
  const StageRegistry& registry_;
  const QuarantineStandIn quarantine_;
  std::vector<std::string> overrides_;
  PipelineConfig config_;             // with these
  std::int64_t feed_peak_bytes_ = 0;  // in flight in the run without sinks
  int feed_workers_ = 1;              // its threads and lanes
  RunEvidence evidence_;
  StatusLine status_;
  StopSignal signals_;  // threads that start later have its signals blocked
};

}  // namespace

int doctor_command(const DoctorOptions& options, const StageRegistry& registry) {
  return Doctor(options, registry).execute();
}

}  // namespace penstock
