#include "pipeline/pipeline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include <sys/resource.h>

#include "pipeline/continued_path.h"
#include "pipeline/error_policy.h"
#include "pipeline/errors.h"
#include "pipeline/graph_run.h"
#include "pipeline/read_batches.h"
#include "pipeline/stage_chain.h"
#include "pipeline/verdict.h"

namespace penstock {
namespace {

using Clock = std::chrono::steady_clock;

// Of share_done(): all that was read has been delivered, but more may come.
constexpr double kMostBeforeAllIsPacked = 0.999;

double seconds(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) * 1e-9;
}

double process_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto in_seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
}

std::int64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * std::int64_t{1024};  // Linux counts it in KiB
}

int number_of_threads(const StageConfig& run) {
  const std::string& threads = run.text("threads");
  return threads == "auto" ? available_threads() : std::stoi(threads);
}

OnError to_on_error(const std::string& text) {
  if (text == "fail") {
    return OnError::kFail;
  }
  return text == "skip" ? OnError::kSkip : OnError::kQuarantine;
}

StageSummary summarise(const StageMetrics& row, double wall_seconds) {
  StageSummary summary;
  summary.name = row.name;
  summary.width = row.width;
  summary.chunks = row.chunks;
  summary.records = row.records;
  summary.documents = row.documents;
  summary.tokens = row.tokens;
  summary.bytes_in = row.bytes_in;
  summary.bytes_out = row.bytes_out;
  summary.rejects = row.rejects;
  summary.outstanding = row.outstanding;
  summary.node = row.node;
  summary.plugin = row.plugin;
  summary.note = row.note;
  summary.busy_seconds = seconds(row.busy.total_ns());
  summary.own_thread_seconds = seconds(row.own_thread.total_ns());
  summary.under_way_seconds = seconds(row.busy.under_way_ns() + row.own_thread.under_way_ns());
  summary.blocked_seconds = seconds(row.blocked_ns);
  if (wall_seconds > 0) {
    summary.busy_share =
        std::max(summary.busy_seconds / row.width, summary.own_thread_seconds) / wall_seconds;
  }
  return summary;
}

// Calls a factory, which gives something. What is no error about an option becomes one about the
// stage, so that every stage's problems are told.
template <typename Make, typename... Arguments>
auto make_stage(const StageType& type,
                const StageConfig& stage,
                const Make& make,
                Arguments&... arguments) {
  const auto fail = [&](const std::string& problem) {
    return ConfigError(
        {{stage.location(),
          "stage " + quoted_name(type.name, type.plugin) + " cannot be made: " + problem}});
  };
  try {
    auto made = make(stage, arguments...);
    if (!made) {
      throw fail("its factory gave nothing");
    }
    return made;
  } catch (const ConfigError&) {
    throw;
  } catch (const std::exception& error) {
    throw fail(full_message(error));
  } catch (...) {
    throw fail("it threw what is no std::exception");
  }
}

// 0 where there is nothing yet to have a share of.
double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? std::clamp(static_cast<double>(part) / static_cast<double>(whole), 0.0, 1.0)
                   : 0;
}

// Passes on the source, where there is one.
std::unique_ptr<Source> with_lanes(std::unique_ptr<Source> source) {
  const int lanes = source ? source->lanes() : 1;
  if (lanes < 1) {
    throw std::runtime_error("its lanes() gave " + std::to_string(lanes) + ", expected at least 1");
  }
  return source;
}

// Nothing where the source does not know, or fails to tell: then `problem` says why.
std::optional<std::int64_t> total_bytes(const Source& source, std::string& problem) {
  try {
    return source.total_bytes();
  } catch (const std::exception& error) {
    problem = full_message(error);
  } catch (...) {
    problem = "an exception that is not a std::exception";
  }
  return std::nullopt;
}

}  // namespace

class Pipeline::Implementation {
 public:
  Implementation(const PipelineConfig& config,
                 const StageRegistry& registry,
                 std::vector<std::unique_ptr<Sink>> sinks,
                 const ResumePoint* resume)
      : threads_(number_of_threads(config.run)),
        memory_limit_(config.run.integer("memory_limit")),
        replaced_sinks_(!sinks.empty()),
        resume_(resume == nullptr ? std::nullopt : std::optional(*resume)) {
    files_.add_input(config.path);
    build_stages(config, registry);
    for (std::unique_ptr<Sink>& sink : sinks) {
      StageMetrics& row = metrics_.add("rows", 1);
      row.node = ++node_;
      sinks_.push_back({"rows", std::move(sink), &row});
    }
    if (resume_) {
      go_on_from_resume_point();
    } else if (!replaced_sinks_ && config.run.text("checkpoint_folder") != "none") {
      check_resumable("");
    }
  }

  void set_checkpoints(std::shared_ptr<CheckpointSchedule> schedule) {
    check_resumable("");
    checkpoints_ = std::move(schedule);
  }

  template <typename Listener>
  void listen(std::shared_ptr<Listener> listener) {
    metrics_.listen(std::move(listener));
  }

  bool has_figures() const { return metrics_.has_figures(); }

  RunSummary run(const std::stop_token& stop) {
    if (started_.exchange(true)) {
      throw std::logic_error("a pipeline runs once");
    }
    cpu_at_start_ = process_cpu_seconds();
    start_ = Clock::now();
    running_ = true;
    const GraphParts parts{*source_,
                           source_output_,
                           *source_metrics_,
                           chains_,
                           *assembler_,
                           *assembler_metrics_,
                           batch_stages_,
                           sinks_,
                           *policy_,
                           on_error_,
                           counters_,
                           threads_,
                           memory_limit_,
                           checkpoints_.get(),
                           stream_.fingerprint,
                           resume_ ? &resume_->position : nullptr};
    try {
      stopped_ = run_graph(parts, stop);
      if (!stopped_) {
        finish_sinks();
      }
    } catch (...) {
      end_run();
      throw;
    }
    finished_ = !stopped_;
    end_run();
    return progress();
  }

  RunSummary progress() const {
    RunSummary summary;
    summary.finished = finished_;
    summary.stopped = stopped_;
    // What is delivered first, what is read last: a batch that is under way meanwhile is not
    // counted as delivered before it counts as packed.
    summary.batches = counters_.batches;
    summary.delivered_tokens = counters_.delivered_tokens;
    const RunCounters::Packed packed = counters_.packed();
    summary.tokens = packed.account;
    summary.packed_records = packed.records;
    summary.all_packed = packed.all;
    if (running_) {
      summary.wall_seconds = seconds(wall_ns_ != 0 ? wall_ns_.load() : since_start());
      summary.cpu_seconds = process_cpu_seconds() - cpu_at_start_;
    }
    summary.threads = threads_;
    summary.memory_limit = memory_limit_;
    summary.peak_in_flight_bytes = counters_.peak_in_flight_bytes;
    summary.peak_resident_bytes = peak_resident_bytes();
    std::string problem;
    summary.total_input_bytes = total_bytes(*source_, problem);
    if (!problem.empty()) {
      summary.warnings.push_back("stage " + quoted_name(*source_metrics_) +
                                 " does not tell how much there is to read: " + problem);
    }
    summary.input_bytes = source_metrics_->bytes_in;
    summary.records = source_metrics_->records;
    summary.documents = assembler_metrics_->documents;
    if (resume_) {
      summary.resumed = resume_->position;
      summary.records += resume_->position.totals.records;
      summary.documents += resume_->position.totals.documents;
      summary.batches += resume_->position.next_batch;
    }
    summary.text_bytes = text_metrics_ != nullptr ? text_metrics_->bytes_in.load() : 0;
    summary.rejects = counters_.rejects;
    for (const StageMetrics& row : metrics_.rows()) {
      summary.stages.push_back(summarise(row, summary.wall_seconds));
    }
    if (finished_) {
      summary.sinks = sink_results_;
    }
    if (!quarantine_problem_.empty() && wall_ns_ != 0) {
      summary.warnings.push_back(quarantine_problem_);
    }
    if (checkpoints_) {
      add_checkpoints(summary);
    }
    judge_limit(summary);
    return summary;
  }

  const StreamInfo& stream() const { return stream_; }

  void claim_output(const std::string& path) { files_.add_output(path); }

  GraphDescription graph() const {
    GraphDescription description;
    const std::string lane_label = metrics_.rows().front().name;
    for (int lane = 0; lane < source_->lanes(); ++lane) {
      description.nodes.push_back({"lane" + std::to_string(lane),
                                   lane_label + "\nlane " + std::to_string(lane),
                                   GraphNode::Kind::kLane});
    }
    std::vector<std::string> tails;
    for (const GraphNode& lane : description.nodes) {
      tails.push_back(lane.id);
    }
    const auto append = [&](GraphNode node, const std::string& payload) {
      for (const std::string& tail : tails) {
        description.edges.push_back({tail, node.id, payload, false});
      }
      tails = {node.id};
      description.nodes.push_back(std::move(node));
    };
    std::string payload = to_string(source_output_);
    for (std::size_t i = 0; i < chains_.size(); ++i) {
      append(chain_node(*chains_[i], i), payload);
      payload = to_string(chains_[i]->stages().back().output);
    }
    std::string assembly = "order\n" + assembler_metrics_->name;
    for (const BuiltBatchStage& stage : batch_stages_) {
      assembly += "\n" + stage.metrics->name;
    }
    append({"assemble", assembly, GraphNode::Kind::kAssemble}, payload);
    for (std::size_t i = 0; i < sinks_.size(); ++i) {
      const std::string id = "sink" + std::to_string(i);
      description.nodes.push_back({id, sinks_[i].label, GraphNode::Kind::kSink});
      description.edges.push_back({"assemble", id, to_string(Payload::kBatch), false});
    }
    for (int lane = 0; lane < source_->lanes(); ++lane) {
      const std::string id = "lane" + std::to_string(lane);
      description.edges.push_back({"assemble", id, "credit", true});
      for (std::size_t i = 0; i < sinks_.size(); ++i) {
        description.edges.push_back({"sink" + std::to_string(i), id, "credit", true});
      }
    }
    return description;
  }

 private:
  // ---- building

  void build_stages(const PipelineConfig& config, const StageRegistry& registry) {
    read_batches_ = [&](const std::vector<std::string>& paths, std::int64_t count) {
      return read_batches(config, registry, paths, count);
    };
    const std::vector<std::string> labels = stage_labels(config.stages);
    std::vector<BuiltStage> transforms;
    std::vector<ConfigIssue> issues;
    // Every stage is built, also behind one that could not be, so that every problem is told.
    for (std::size_t i = 0; i < config.stages.size(); ++i) {
      const StageConfig& stage = config.stages[i];
      const StageType* type = registry.find(stage.stage());
      if (type == nullptr) {
        throw std::logic_error("stage '" + stage.stage() + "' is not registered");
      }
      try {
        build_stage(*type, stage, labels[i], config.run, transforms);
      } catch (const ConfigError& error) {
        issues.insert(issues.end(), error.issues().begin(), error.issues().end());
      }
    }
    try {
      build_policy(config.run);
    } catch (const ConfigError& error) {
      issues.insert(issues.end(), error.issues().begin(), error.issues().end());
    }
    if (!issues.empty()) {
      throw ConfigError(std::move(issues));
    }
    read_batches_ = {};
    // An arena has two slots at least: a foreign thread that wakes it may bring a worker into it.
    chains_ = fuse(std::move(transforms), static_cast<std::size_t>(std::max(threads_, 2)));
  }

  void build_stage(const StageType& type,
                   const StageConfig& stage,
                   const std::string& label,
                   const StageConfig& run,
                   std::vector<BuiltStage>& transforms) {
    if (replaced_sinks_ && std::holds_alternative<SinkFactory>(type.factory)) {
      return;
    }
    const auto is_transform = std::holds_alternative<StageFactory>(type.factory);
    const bool fused =
        std::holds_alternative<BatchStageFactory>(type.factory) ||
        (is_transform && !transforms.empty() && transforms.back().ordering == type.ordering);
    const std::size_t first_row = metrics_.rows().size();
    StageMetrics& row = metrics_.add(label, 1);
    row.plugin = type.plugin;
    const BuildContext context{stream_,
                               metrics_,
                               row,
                               files_,
                               threads_,
                               resume_ ? &*resume_ : nullptr,
                               read_batches_,
                               run.text("checkpoint_folder") != "none"};
    if (!std::holds_alternative<SinkFactory>(type.factory)) {
      add_to_fingerprint(type, stage, label);
    }
    if (const auto* make_source = std::get_if<SourceFactory>(&type.factory)) {
      source_ = make_stage(
          type,
          stage,
          [&](const StageConfig& config, const BuildContext& own) {
            return with_lanes((*make_source)(config, own));
          },
          context);
      source_metrics_ = &row;
      source_output_ = type.output;
      row.width = source_->lanes();
      set_on_error(stage, label, run);
    } else if (const auto* prepare = std::get_if<StageFactory>(&type.factory)) {
      row.width = type.ordering == Ordering::kParallel ? threads_ : 1;
      transforms.push_back(
          {label, type.output, type.ordering, make_stage(type, stage, *prepare, context), &row});
      set_on_error(stage, label, run);
      if (type.input == Payload::kDocuments) {
        text_metrics_ = &row;  // the last one that takes documents
      }
    } else if (const auto* make_assembler = std::get_if<AssemblerFactory>(&type.factory)) {
      assembler_ = make_stage(type, stage, *make_assembler, context);
      assembler_metrics_ = &row;
    } else if (const auto* make_batch_stage = std::get_if<BatchStageFactory>(&type.factory)) {
      auto made = make_stage(type, stage, *make_batch_stage, context);
      batch_stages_.push_back({std::move(made), stream_.batch_shape, &row});
    } else {
      const SinkFactory& make_sink = std::get<SinkFactory>(type.factory);
      sinks_.push_back({label, make_stage(type, stage, make_sink, context), &row});
    }
    node_ += fused ? 0 : 1;
    for (std::size_t i = first_row; i < metrics_.rows().size(); ++i) {
      metrics_.rows()[i].node = node_;
    }
  }

  void add_to_fingerprint(const StageType& type,
                          const StageConfig& stage,
                          const std::string& label) {
    std::string& chain = stream_.fingerprint["pipeline"];
    chain += (chain.empty() ? "" : ", ") + label;
    for (const Option& option : type.options) {
      const auto value = stage.values().find(option.name);
      if (option.shapes_stream && value != stage.values().end()) {
        stream_.fingerprint[label + "." + option.name] = format_value(value->second, option.type);
      }
    }
  }

  void set_on_error(const StageConfig& stage, const std::string& label, const StageConfig& run) {
    const std::string& own = stage.text("on_error");
    const OnError on_error = to_on_error(own == "inherit" ? run.text("on_error") : own);
    // Where the configured outputs are not written, neither is the quarantine file.
    on_error_[label] =
        on_error == OnError::kQuarantine && replaced_sinks_ ? OnError::kSkip : on_error;
  }

  void build_policy(const StageConfig& run) {
    ErrorPolicy::Options options;
    const std::string& max_errors = run.text("max_errors");
    if (max_errors != "none") {
      options.max_errors = std::stod(max_errors);
    }
    const bool quarantine = std::any_of(on_error_.begin(), on_error_.end(), [](const auto& entry) {
      return entry.second == OnError::kQuarantine;
    });
    if (quarantine) {
      options.quarantine_path = run.text("quarantine");
      if (resume_) {
        options.quarantine_path =
            continued_path(options.quarantine_path, resume_->position.next_batch);
      }
    }
    try {
      if (quarantine) {
        files_.add_output(options.quarantine_path);
      }
      policy_ = std::make_unique<ErrorPolicy>(std::move(options));
    } catch (const std::runtime_error& error) {
      throw run.error("quarantine", error.what());
    }
  }

  // ---- going on

  // Throws ConfigError; `location` is the checkpoint, if there is one.
  void check_resumable(const std::string& location) const {
    std::vector<ConfigIssue> issues;
    const auto add = [&](const std::string& label, const std::string& reason) {
      issues.push_back(
          {location, "a run with '" + label + "' cannot go on from a checkpoint: " + reason});
    };
    if (!source_->position(0)) {
      add(source_metrics_->name, "the source does not tell where it is");
    }
    for (const auto& chain : chains_) {
      for (const BuiltStage& stage : chain->stages()) {
        if (chain->ordering() == Ordering::kInOrder) {
          add(stage.label, "it sees the chunks in order and may remember some, which is not saved");
        }
      }
    }
    if (!assembler_->can_resume()) {
      add(assembler_metrics_->name, "the assembler does not tell what its batches hold");
    }
    for (const BuiltBatchStage& stage : batch_stages_) {
      if (const std::string reason = stage.stage->why_not_resumable(); !reason.empty()) {
        add(stage.metrics->name, reason);
      }
    }
    for (const BuiltSink& sink : sinks_) {
      if (const std::string reason = sink.sink->why_not_resumable(); !reason.empty()) {
        add(sink.label, reason);
      }
    }
    if (!issues.empty()) {
      throw ConfigError(std::move(issues));
    }
  }

  void go_on_from_resume_point() {
    check_resumable(resume_->folder);
    const StreamPosition& position = resume_->position;
    std::vector<ConfigIssue> issues;
    for (const std::string& difference : differences(position.fingerprint, stream_.fingerprint)) {
      issues.push_back({resume_->folder, "the run would not be the same: " + difference});
    }
    if (!issues.empty()) {
      throw ConfigError(std::move(issues));
    }
    if (std::ssize(position.lanes) != source_->lanes()) {
      throw ConfigError({{resume_->folder,
                          "the checkpoint has " + std::to_string(position.lanes.size()) +
                              " lanes, the source " + std::to_string(source_->lanes())}});
    }
    for (int lane = 0; lane < source_->lanes(); ++lane) {
      source_->go_on_from(lane, position.lanes[static_cast<std::size_t>(lane)]);
    }
    assembler_->go_on_from(position.next_batch, position.account);
    policy_->go_on_from(position.totals.records, position.totals.rejects);
    counters_.rejects = position.totals.rejects;
    counters_.delivered_tokens = position.account.out;
    counters_.set_packed({position.account, position.totals.records});
  }

  GraphNode chain_node(const StageChain& chain, std::size_t number) const {
    const bool parallel = chain.ordering() == Ordering::kParallel;
    std::string label = parallel ? "up to " + std::to_string(threads_) + " at a time"
                                 : std::string("order, one at a time");
    for (const BuiltStage& stage : chain.stages()) {
      label += "\n" + stage.label;
    }
    return {"chain" + std::to_string(number),
            label,
            parallel ? GraphNode::Kind::kParallel : GraphNode::Kind::kInOrder};
  }

  // ---- running

  void finish_sinks() {
    for (BuiltSink& sink : sinks_) {
      try {
        const BusyTimer timer(sink.metrics->busy);
        sink.sink->finish();
        sink_results_.push_back({sink.label, sink.sink->results()});
      } catch (...) {
        std::throw_with_nested(
            StageError("sink " + quoted_name(*sink.metrics) + " failed at the end"));
      }
    }
  }

  void add_checkpoints(RunSummary& summary) const {
    CheckpointCounts counts = checkpoints_->counts();
    if (counts.failed > 0) {
      summary.warnings.push_back(std::to_string(counts.failed) +
                                 (counts.failed == 1 ? " checkpoint" : " checkpoints") +
                                 " could not be written; the last error: " + counts.last_error);
    }
    summary.checkpoints = std::move(counts);
  }

  void end_run() {
    if (checkpoints_) {
      checkpoints_->finish();
    }
    try {
      policy_->publish();
    } catch (const std::exception& error) {
      quarantine_problem_ = std::string("the quarantine file is lost: ") + error.what();
    }
    wall_ns_ = since_start();
  }

  std::int64_t since_start() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count();
  }

  // Constant after construction.
  const int threads_;
  const std::int64_t memory_limit_;
  const bool replaced_sinks_;
  const std::optional<ResumePoint> resume_;
  StreamInfo stream_;
  FileClaims files_;
  Metrics metrics_;
  int node_ = 0;              // of the graph, for metrics rows; while building
  BatchReader read_batches_;  // while building
  Payload source_output_ = Payload::kNone;
  std::unordered_map<std::string, OnError> on_error_;
  StageMetrics* source_metrics_ = nullptr;
  StageMetrics* assembler_metrics_ = nullptr;
  const StageMetrics* text_metrics_ = nullptr;  // null where no stage takes documents

  // Used by the run; see graph_run.h.
  std::unique_ptr<Source> source_;
  std::vector<std::unique_ptr<StageChain>> chains_;
  std::unique_ptr<BatchAssembler> assembler_;
  std::vector<BuiltBatchStage> batch_stages_;
  std::unique_ptr<ErrorPolicy> policy_;
  std::shared_ptr<CheckpointSchedule> checkpoints_;  // null: none are made
  std::vector<BuiltSink> sinks_;
  RunCounters counters_;

  // Written by run(), read by progress().
  Clock::time_point start_;  // before running_ is set
  double cpu_at_start_ = 0;  // before running_ is set
  std::atomic<bool> started_{false};
  std::atomic<bool> running_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> finished_{false};
  std::vector<SinkSummary> sink_results_;  // before finished_ is set
  std::string quarantine_problem_;         // before wall_ns_ is set
  std::atomic<std::int64_t> wall_ns_{0};   // of the whole run, once it is over
};

std::int64_t RunSummary::earlier_tokens() const {
  return resumed ? resumed->account.out : 0;
}

std::int64_t RunSummary::new_tokens() const {
  return delivered_tokens - earlier_tokens();
}

std::optional<double> RunSummary::share_done() const {
  if (!total_input_bytes) {
    return std::nullopt;
  }
  const std::int64_t records_before = resumed ? resumed->totals.records : 0;
  const std::int64_t tokens_to_deliver = tokens.in - tokens.dropped - earlier_tokens();
  const double delivered = tokens_to_deliver > 0 ? share(new_tokens(), tokens_to_deliver) : 1;
  if (all_packed) {
    return delivered;
  }
  return std::min(kMostBeforeAllIsPacked,
                  share(input_bytes, *total_input_bytes) *
                      share(packed_records - records_before, records - records_before) * delivered);
}

Pipeline::Pipeline(const PipelineConfig& config, const StageRegistry& registry)
    : Pipeline(config, registry, std::vector<std::unique_ptr<Sink>>()) {}

Pipeline::Pipeline(const PipelineConfig& config,
                   const StageRegistry& registry,
                   std::vector<std::unique_ptr<Sink>> sinks)
    : implementation_(
          std::make_unique<Implementation>(config, registry, std::move(sinks), nullptr)) {}

Pipeline::Pipeline(const PipelineConfig& config,
                   const StageRegistry& registry,
                   const ResumePoint& resume,
                   std::vector<std::unique_ptr<Sink>> sinks)
    : implementation_(
          std::make_unique<Implementation>(config, registry, std::move(sinks), &resume)) {}

Pipeline::~Pipeline() = default;

void Pipeline::listen(std::shared_ptr<SpanListener> listener) {
  implementation_->listen(std::move(listener));
}

void Pipeline::listen(std::shared_ptr<FiguresListener> listener) {
  implementation_->listen(std::move(listener));
}

bool Pipeline::has_figures() const {
  return implementation_->has_figures();
}

void Pipeline::set_checkpoints(std::shared_ptr<CheckpointSchedule> schedule) {
  implementation_->set_checkpoints(std::move(schedule));
}

RunSummary Pipeline::run(std::stop_token stop) {
  return implementation_->run(stop);
}

RunSummary Pipeline::progress() const {
  return implementation_->progress();
}

const StreamInfo& Pipeline::stream() const {
  return implementation_->stream();
}

GraphDescription Pipeline::graph() const {
  return implementation_->graph();
}

void Pipeline::claim_output(const std::string& path) {
  implementation_->claim_output(path);
}

}  // namespace penstock
