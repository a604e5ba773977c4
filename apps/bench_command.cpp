#include "apps/bench_command.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include "apps/bench_json.h"
#include "apps/bench_report.h"
#include "apps/bench_text.h"
#include "apps/endless_run.h"
#include "apps/exit_status.h"
#include "apps/number_text.h"
#include "apps/processor_share.h"
#include "apps/standard_streams.h"
#include "apps/status_line.h"
#include "apps/stop_signal.h"
#include "pipeline/atomic_file.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/graph_run.h"
#include "pipeline/pipeline.h"
#include "pipeline/span.h"
#include "pipeline/stage_replay.h"
#include "stages/discard.h"

namespace penstock {
namespace {

// Shares of the time that there is.
constexpr double kFirstRuns = 0.1;
constexpr double kCaptureAndRounds = 0.8;
constexpr int kWantedRounds = 3;  // a sample is so small that these many fit

// What one round gave.
struct Round {
  std::vector<ReplayTime> stages;
  // By number of threads.
  std::vector<double> bytes_per_second;
  std::vector<double> cores_used;
  std::vector<double> processor_shares;
};

// One `penstock bench`.
class Bench {
 public:
  Bench(const BenchOptions& options, const StageRegistry& registry)
      : options_(options),
        registry_(registry),
        begin_ns_(now_ns()),
        signals_([](int signal) { ::_exit(kExitSignalBase + signal); }) {
    report_.config = options.config.path;
    report_.started = std::chrono::system_clock::now();
    report_.processors = available_threads();
    std::vector<int> threads =
        options.threads.empty() ? thread_counts(report_.processors) : options.threads;
    std::sort(threads.begin(), threads.end());
    threads.erase(std::unique(threads.begin(), threads.end()), threads.end());
    for (const int count : threads) {
      configs_.push_back(config_with(count));
      report_.runs.emplace_back().threads = count;
    }
    prepare_json();
  }

  int execute() {
    try {
      return measure();
    } catch (const std::exception& error) {
      status_.show("");
      write_standard_error("penstock: " + full_message(error) + '\n');
      return kExitRunFailed;
    }
  }

 private:
  int measure() {
    first_runs();
    if (const int status = end_status()) {
      return status;
    }
    StageReplay replay(configs_.front(), registry_);
    capture(replay);
    measure_rounds(replay);
    if (const int status = end_status()) {
      return status;
    }
    report_.wall_seconds = elapsed_seconds();
    fill_in(replay);
    status_.show("");
    write_report();
    return kExitSuccess;
  }

  // ---- preparing

  PipelineConfig config_with(int threads) const {
    std::vector<std::string> overrides = options_.overrides;
    overrides.push_back("threads=" + std::to_string(threads));
    // The same records are read more than once.
    overrides.emplace_back("max_errors=none");
    return load_config(options_.config, registry_, overrides);
  }

  // Checks everything that a run would check but its sinks, and that nothing is written over.
  void prepare_json() {
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<DiscardSink>());
    Pipeline pipeline(configs_.front(), registry_, std::move(sinks));
    if (options_.json_path.empty() || json_is_printed()) {
      return;
    }
    try {
      pipeline.claim_output(options_.json_path);
    } catch (const std::runtime_error& error) {
      throw FileError(std::string("the JSON file ") + error.what());
    }
    json_file_.emplace(options_.json_path);
  }

  bool json_is_printed() const { return options_.json_path == "-"; }

  // ---- measuring

  std::stop_token stop() const { return signals_.source().get_token(); }
  int end_status() const {
    return signals_.received() == 0 ? 0 : kExitSignalBase + signals_.received();
  }
  double elapsed_seconds() const { return static_cast<double>(now_ns() - begin_ns_) * 1e-9; }

  // Brings files into memory, and tells how much memory a run needs before a sample takes more.
  void first_runs() {
    const double seconds = kFirstRuns * options_.seconds / static_cast<double>(configs_.size());
    for (std::size_t i = 0; i < configs_.size() && !stop().stop_requested(); ++i) {
      BenchRun& run = report_.runs[i];
      status_.show(fmt::format("first run with {}", counted(run.threads, "thread")));
      const EndlessRun first = run_for(std::min(seconds, 1.0), configs_[i], registry_, stop());
      run.peak_resident_bytes = first.summary.peak_resident_bytes;
      run.peak_in_flight_bytes = first.summary.peak_in_flight_bytes;
      run.memory_limited = first.summary.limiting_stage == "memory_limit";
      if (i == 0 && first.seconds > 0) {
        core_bytes_per_second_ =
            static_cast<double>(first.text_bytes) / first.seconds / cores_of(report_, run);
      }
    }
  }

  // How long one thread may work on the sample: it does so for the capture, and in each round for
  // the stages; a run does the same with its threads.
  double work_seconds() const {
    double round = 1;
    for (const BenchRun& run : report_.runs) {
      round += 1.0 / cores_of(report_, run);
    }
    return kCaptureAndRounds * options_.seconds / (1 + kWantedRounds * round);
  }

  void capture(StageReplay& replay) {
    status_.show("taking a sample");
    constexpr std::int64_t kMiB = 1 << 20;
    const std::int64_t text_bytes =
        options_.capture_bytes > 0
            ? options_.capture_bytes
            : std::max<std::int64_t>(64 * kMiB, 16 * kMiB * report_.runs.back().threads);
    const auto most_bytes = static_cast<std::int64_t>(work_seconds() * core_bytes_per_second_);
    replay.capture(std::clamp<std::int64_t>(most_bytes, 1, text_bytes), stop());
    report_.passes = replay.passes();
  }

  void measure_rounds(StageReplay& replay) {
    double round_seconds = 0;
    const auto is_time_left = [&] {
      return rounds_.empty() || elapsed_seconds() + round_seconds <= options_.seconds;
    };
    while (std::ssize(rounds_) < options_.repetitions && is_time_left()) {
      const double begin = elapsed_seconds();
      Round round = measure_round(replay);
      if (stop().stop_requested()) {
        return;
      }
      rounds_.push_back(std::move(round));
      round_seconds = elapsed_seconds() - begin;
    }
  }

  Round measure_round(StageReplay& replay) {
    const std::string name =
        fmt::format("round {} of {}: ", rounds_.size() + 1, options_.repetitions);
    status_.show(name + "each stage alone");
    Round round;
    round.stages = replay.measure(stop());
    for (std::size_t i = 0; i < configs_.size() && !stop().stop_requested(); ++i) {
      status_.show(name + counted(report_.runs[i].threads, "thread"));
      const EndlessRun run =
          run_sample(replay.sample(), work_seconds(), configs_[i], registry_, stop());
      round.bytes_per_second.push_back(static_cast<double>(run.text_bytes) / run.seconds);
      round.cores_used.push_back(run.cpu_seconds / run.seconds);
      round.processor_shares.push_back(
          processor_share(run.summary, cores_of(report_, report_.runs[i])));
    }
    return round;
  }

  // ---- reporting

  void fill_in(const StageReplay& replay) {
    report_.rounds = static_cast<int>(rounds_.size());
    report_.chunks = std::ssize(replay.sample());
    for (std::size_t i = 0; i < replay.sample().size(); ++i) {
      const SampledChunk& chunk = replay.sample()[i];
      const bool is_timed = i >= replay.sample().size() / 2;
      report_.text_bytes += chunk.text_bytes;
      report_.tokens += chunk.tokens;
      report_.timed_text_bytes += is_timed ? chunk.text_bytes : 0;
      report_.timed_tokens += is_timed ? chunk.tokens : 0;
    }
    for (std::size_t i = 0; i < replay.stages().size(); ++i) {
      report_.stages.push_back(bench_stage(replay.stages()[i], i));
    }
    for (std::size_t i = 0; i < report_.runs.size(); ++i) {
      fill_in_run(i);
    }
  }

  BenchStage bench_stage(const ReplayedStage& stage, std::size_t index) const {
    const auto text = static_cast<double>(report_.timed_text_bytes);
    const auto first_text = static_cast<double>(report_.text_bytes) - text;
    std::vector<double> first;
    std::vector<double> second;
    for (const Round& round : rounds_) {
      first.push_back(round.stages[index].first_half / first_text);
      second.push_back(round.stages[index].second_half / text);
    }
    return {stage.name, stage.node, stage.width, spread_of(second), spread_of(first).median};
  }

  void fill_in_run(std::size_t index) {
    BenchRun& run = report_.runs[index];
    const int cores = cores_of(report_, run);
    run.ceiling = ceiling(stage_costs(report_), cores);
    std::vector<double> reached;
    std::vector<double> shares;
    std::vector<double> cores_used;
    std::vector<double> processor_shares;
    for (const Round& round : rounds_) {
      std::vector<StageCost> costs = stage_costs(report_);
      for (std::size_t i = 0; i < costs.size(); ++i) {
        costs[i].seconds_per_byte =
            round.stages[i].second_half / static_cast<double>(report_.timed_text_bytes);
      }
      reached.push_back(round.bytes_per_second[index]);
      cores_used.push_back(round.cores_used[index]);
      processor_shares.push_back(round.processor_shares[index]);
      shares.push_back(reached.back() / ceiling(costs, cores));
    }
    run.cores_used = spread_of(std::move(cores_used)).median;
    run.processor_share = spread_of(std::move(processor_shares)).median;
    run.bytes_per_second = spread_of(std::move(reached));
    run.share = spread_of(std::move(shares));
  }

  void write_report() {
    // Whoever should read the text may never do so.
    signals_.release();
    if (json_file_) {
      json_file_->write(bench_json(report_));
      json_file_->commit();
    }
    write_standard_output(json_is_printed() ? bench_json(report_) : bench_text(report_));
  }

  const BenchOptions& options_;
  const StageRegistry& registry_;
  const std::int64_t begin_ns_;
  std::vector<PipelineConfig> configs_;  // by number of threads, as report_.runs
  std::optional<AtomicFile> json_file_;
  double core_bytes_per_second_ = 0;
  std::vector<Round> rounds_;
  BenchReport report_;
  StatusLine status_;
  StopSignal signals_;  // threads that start later have its signals blocked
};

}  // namespace

std::vector<int> thread_counts(int processors) {
  std::vector<int> counts;
  for (int count = 1; count < processors; count *= 2) {
    counts.push_back(count);
  }
  counts.push_back(processors);
  return counts;
}

int bench_command(const BenchOptions& options, const StageRegistry& registry) {
  return Bench(options, registry).execute();
}

}  // namespace penstock
