#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "pipeline/assembler.h"
#include "pipeline/batch_stage.h"
#include "pipeline/checkpoint_schedule.h"
#include "pipeline/error_policy.h"
#include "pipeline/metrics.h"
#include "pipeline/sink.h"
#include "pipeline/source.h"
#include "pipeline/stage_chain.h"

namespace penstock {

// A sink of a run, with its name there.
struct BuiltSink {
  std::string label;
  std::unique_ptr<Sink> sink;  // null behind a run that failed while it kept batches
  StageMetrics* metrics = nullptr;
};

// A stage between the assembler and the sinks.
struct BuiltBatchStage {
  std::unique_ptr<BatchStage> stage;
  std::optional<BatchShape> shape;  // of what it gives; nothing where nobody says
  StageMetrics* metrics = nullptr;
};

// What a run has done so far. Written by the graph, read by any thread.
struct RunCounters {
  std::atomic<std::int64_t> in_flight_bytes{0};
  std::atomic<std::int64_t> peak_in_flight_bytes{0};
  std::atomic<std::int64_t> batches{0};           // completed by every sink
  std::atomic<std::int64_t> delivered_tokens{0};  // of TokenAccount::out, in these batches
  std::atomic<std::int64_t> rejects{0};           // judged

  // What has come to the assembler.
  struct Packed {
    TokenAccount account;
    std::int64_t records = 0;  // as read
    bool all = false;          // nothing more will come
  };
  void set_packed(const Packed& packed);
  Packed packed() const;

 private:
  mutable std::mutex mutex_;
  Packed packed_;  // protected by mutex_
};

// The parts of one run. All outlive it.
struct GraphParts {
  Source& source;
  Payload source_output = Payload::kNone;
  StageMetrics& source_metrics;
  std::vector<std::unique_ptr<StageChain>>& chains;
  BatchAssembler& assembler;
  StageMetrics& assembler_metrics;
  std::vector<BuiltBatchStage>& batch_stages;
  std::vector<BuiltSink>& sinks;
  ErrorPolicy& policy;
  const std::unordered_map<std::string, OnError>& on_error;  // by stage label
  RunCounters& counters;
  int threads = 1;
  std::int64_t memory_limit = 0;  // bytes, for all lanes together
  // Null: none are made. Else the source tells places, and the assembler Batch::account.
  CheckpointSchedule* checkpoints = nullptr;
  const StreamFingerprint& fingerprint;        // for the checkpoints
  const StreamPosition* go_on_from = nullptr;  // source, assembler and policy are set to it already
};

// Builds the flow graph of docs/ordering-and-back-pressure.md, runs it to its end and takes it
// apart. Returns whether it was stopped by `stop`; throws the first failure: of everything before
// the sinks the first in stream order, of a sink the first in time.
bool run_graph(const GraphParts& parts, const std::stop_token& stop);

// How many threads this process can use at once (its affinity mask considered).
int available_threads();

}  // namespace penstock
