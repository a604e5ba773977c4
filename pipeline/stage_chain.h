#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/metrics.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// A built transform of a pipeline.
struct BuiltStage {
  std::string label;  // the stage's name, with [n] where it stands more than once
  Payload output = Payload::kNone;
  Ordering ordering = Ordering::kParallel;
  InstanceFactory make_instance;
  StageMetrics* metrics = nullptr;
};

// A stage did not get a chunk done. Whoever knows which chunk of the stream it was makes a
// StageError of it.
class ChunkFailure : public std::exception {
 public:
  ChunkFailure(std::string stage, SourcePosition position, std::exception_ptr cause)
      : stage_(std::move(stage)), position_(std::move(position)), cause_(std::move(cause)) {}

  const char* what() const noexcept override { return stage_.c_str(); }
  const std::string& stage() const { return stage_; }  // "stage 'parse'"
  const SourcePosition& position() const { return position_; }
  const std::exception_ptr& cause() const { return cause_; }

 private:
  std::string stage_;
  SourcePosition position_;
  std::exception_ptr cause_;
};

// Runs neighbouring stages of the same ordering back to back on one chunk, so that it stays in its
// core's cache; metrics stay per stage. Each slot (a thread of the arena) has its own instances,
// made when the slot is first used. Different slots may be used in parallel.
class StageChain {
 public:
  StageChain(std::vector<BuiltStage> stages, Ordering ordering, std::size_t slots);

  // Replaces the chunk by what the stages make of it. Checks what a stage promises: payload type,
  // position, and rejects that are never lost. Throws ChunkFailure; the chunk is then empty but has
  // its position and the rejects of the stages before. Throws StageError where an instance cannot
  // be made.
  void process(Chunk& chunk, std::size_t slot);

  Ordering ordering() const { return ordering_; }
  const std::vector<BuiltStage>& stages() const { return stages_; }

 private:
  using Instances = std::vector<std::unique_ptr<Stage>>;

  // `bytes_in` is content_bytes() of the chunk. Returns that of what becomes of it.
  std::int64_t process_one(const BuiltStage& built,
                           Stage& stage,
                           Chunk& chunk,
                           std::int64_t bytes_in);
  Instances& instances(std::size_t slot);

  const std::vector<BuiltStage> stages_;
  const Ordering ordering_;
  std::mutex mutex_;              // factories are called by one thread at a time
  std::vector<Instances> slots_;  // an element is used by the thread in that slot alone
};

// Splits transforms into chains of equal ordering.
std::vector<std::unique_ptr<StageChain>> fuse(std::vector<BuiltStage> stages, std::size_t slots);

}  // namespace penstock
