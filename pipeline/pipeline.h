#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/assembler.h"
#include "pipeline/checkpoint_schedule.h"
#include "pipeline/config.h"
#include "pipeline/figures.h"
#include "pipeline/metrics.h"
#include "pipeline/sink.h"
#include "pipeline/span.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// One row of a summary.
struct StageSummary {
  std::string name;               // as in StageMetrics, which says more of what is counted
  int width = 1;                  // how many threads can be in it at once
  std::int64_t chunks = 0;        // chunks, or batches for a sink
  std::int64_t records = 0;       // of the chunks that came in
  std::int64_t documents = 0;     // that went out
  std::int64_t tokens = 0;        // that went out
  std::int64_t bytes_in = 0;      // of text; as stored for a source
  std::int64_t bytes_out = 0;     // of text
  std::int64_t rejects = 0;       // records that it refused
  std::int64_t outstanding = 0;   // batches that a sink got and is not finished with
  int node = 0;                   // of the graph: rows of the same node share its threads
  std::string plugin;             // file name of the plug-in that it comes from; may be empty
  std::string note;               // what the stage says about how it was built; may be empty
  double busy_seconds = 0;        // on the pipeline's threads, summed over them
  double own_thread_seconds = 0;  // on a thread of the stage's own
  double under_way_seconds = 0;   // of these: calls that have not returned yet
  double blocked_seconds = 0;     // ready to read, but memory_limit was used up; summed over lanes
  double busy_share = 0;          // of the time of its threads: of `width`, or of its own
};

// What a sink reports.
struct SinkSummary {
  std::string name;             // with [n] where a sink stands more than once
  std::vector<Result> results;  // Sink::results()
};

// What a run did, or has done so far. Where it goes on from a checkpoint, records, documents,
// batches, rejects and tokens count what was done before as well; bytes and times do not.
struct RunSummary {
  std::optional<StreamPosition> resumed;  // where it goes on
  bool finished = false;                  // the whole input went through
  bool stopped = false;                   // ended by the stop token
  bool all_packed = false;                // the whole input has come to the assembler
  double wall_seconds = 0;                // of the run so far
  double cpu_seconds = 0;                 // of the process, during the run
  int threads = 1;                        // that work at the same time
  std::int64_t memory_limit = 0;          // bytes
  std::int64_t peak_in_flight_bytes = 0;  // highest sum of byte credits in use
  std::int64_t peak_resident_bytes = 0;   // of the process

  std::optional<std::int64_t> total_input_bytes;  // as stored
  std::int64_t input_bytes = 0;                   // read so far, as stored (compressed)
  std::int64_t records = 0;                       // read
  std::int64_t packed_records = 0;                // of these, the ones that came to the assembler
  std::int64_t documents = 0;                     // packed
  std::int64_t text_bytes = 0;                    // of the documents tokenized
  std::int64_t batches = 0;                       // completed by every sink
  std::int64_t rejects = 0;                       // judged
  TokenAccount tokens;                            // of the assembler
  std::int64_t delivered_tokens = 0;              // of tokens.out, the ones in these batches

  // Of tokens.out, the ones that were packed before this run.
  std::int64_t earlier_tokens() const;
  // Of delivered_tokens, the ones of this run.
  std::int64_t new_tokens() const;
  // How much of this run is done, from 0 to 1: of the tokens that its whole input gives, if the
  // rest of it is like what came to the assembler so far, the share that every sink is finished
  // with. 1 only when all has been delivered. Nothing where the size of the input is not known.
  std::optional<double> share_done() const;

  std::vector<StageSummary> stages;  // in pipeline order
  std::vector<SinkSummary> sinks;    // what the sinks report; filled at the end

  std::optional<CheckpointCounts> checkpoints;  // nothing where none are made

  std::vector<std::string> warnings;  // what went wrong beside what ended the run

  // Which stage limits the run (or memory_limit), and why; empty before there is anything to tell.
  std::string limiting_stage;
  std::string limit_reason;
};

// A picture of the graph that a run builds, for `penstock graph`.
struct GraphNode {
  std::string id;     // a word, unique in the graph
  std::string label;  // lines separated by '\n'
  // What works there: a lane of the source, stages in parallel or in order, the assembler, a sink.
  enum class Kind { kLane, kParallel, kInOrder, kAssemble, kSink };
  Kind kind = Kind::kParallel;
};
// What flows from one node to another.
struct GraphEdge {
  std::string from;     // GraphNode::id
  std::string to;       // GraphNode::id
  std::string label;    // what flows
  bool credit = false;  // bytes given back, against the direction of the data
};
// All of the graph.
struct GraphDescription {
  std::vector<GraphNode> nodes;  // in the order of the stages
  std::vector<GraphEdge> edges;  // between them
};

// A built pipeline: every stage checked and constructed, nothing read yet. Runs once.
class Pipeline {
 public:
  // Builds every stage. Throws ConfigError with every problem that the stages find.
  Pipeline(const PipelineConfig& config, const StageRegistry& registry);
  // Builds the source, the transforms and the assembler, and gives the batches to `sinks` instead
  // of the configured ones, which are not built.
  Pipeline(const PipelineConfig& config,
           const StageRegistry& registry,
           std::vector<std::unique_ptr<Sink>> sinks);
  // Goes on where an earlier run of the same configuration and input was: with exactly the batch
  // that came next there. Throws ConfigError also where what shapes the stream is not the same, or
  // where a stage cannot go on.
  Pipeline(const PipelineConfig& config,
           const StageRegistry& registry,
           const ResumePoint& resume,
           std::vector<std::unique_ptr<Sink>> sinks = {});
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Passes on every span from now on to `listener`, which is kept as long as the pipeline.
  void listen(std::shared_ptr<SpanListener> listener);
  // The same for the figures that sinks tell while the run goes on.
  void listen(std::shared_ptr<FiguresListener> listener);
  // Whether a sink has announced such figures.
  bool has_figures() const;

  // Makes checkpoints as `schedule` says; before the run. Without it none are made, whatever the
  // configuration says: the folder is the business of whoever runs the pipeline. Throws ConfigError
  // where a stage could not go on from one.
  void set_checkpoints(std::shared_ptr<CheckpointSchedule> schedule);

  // Runs to the end of the input, to the first failure in stream order (thrown), or until `stop`
  // is requested (RunSummary::stopped). The calling thread is one of the `threads`.
  RunSummary run(std::stop_token stop = {});

  // What has been done so far; any thread, at any time.
  RunSummary progress() const;

  // What the stages said of the stream while they were built.
  const StreamInfo& stream() const;
  // The graph that run() builds.
  GraphDescription graph() const;
  // For a file that the caller writes beside the run, as an AtomicFile; before the run. Throws
  // std::runtime_error where the run reads it (a shard, a model, the configuration) or writes it.
  void claim_output(const std::string& path);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace penstock
