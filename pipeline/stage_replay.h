#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/chunk.h"
#include "pipeline/config.h"
#include "pipeline/endless_source.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// The stage whose bytes_in are what all speeds are told in: the last one that takes documents, else
// the first. Empty where the source is not followed by any stage but the assembler.
std::string text_stage(const PipelineConfig& config, const StageRegistry& registry);

// What became of one chunk of the stream.
struct SampledChunk {
  SourcePosition position;
  std::int64_t num_records = 0;
  std::int64_t text_bytes = 0;  // that came to text_stage()
  std::int64_t tokens = 0;
};

// A row of metrics that is measured: a stage, or a part of the source.
struct ReplayedStage {
  std::string name;
  int node = 0;              // of the graph that a run would build: rows of one share its threads
  std::optional<int> width;  // threads that can be in the node at once; none: all that there are
};

// Seconds of one core in a stage: processor time of the thread.
struct ReplayTime {
  double first_half = 0;   // of the sample, by a new instance
  double second_half = 0;  // by the same one
};

// Builds the stages of a configuration without a graph and without its sinks, keeps what goes into
// each of them for the beginning of the stream, the sample, and times each alone on that. The input
// is read over again where the sample is larger. One thread uses it at a time; stages that use
// oneTBB get no other.
class StageReplay {
 public:
  // The registry outlives it. Throws ConfigError.
  StageReplay(const PipelineConfig& config, const StageRegistry& registry);
  ~StageReplay();
  StageReplay(const StageReplay&) = delete;
  StageReplay& operator=(const StageReplay&) = delete;

  // Takes a sample of an even number of chunks that hold at least `text_bytes`. Rejects are not
  // judged. To be called once; a stop leaves the sample incomplete. Throws what stages throw, and
  // std::runtime_error where there is no text.
  void capture(std::int64_t text_bytes, const std::stop_token& stop);
  const std::vector<SampledChunk>& sample() const { return sample_; }
  // How often the input was begun for the sample, by the lane that did so most.
  int passes() const { return passes_; }

  // In the order of the configuration; those of the source first.
  const std::vector<ReplayedStage>& stages() const { return stages_; }

  // Sends the sample through one stage after the other, each of them new, and returns their times,
  // in the order of stages(). Every chunk is copied right before a stage gets it, so that it is in
  // the cache as if the stage before had just written it; the copying is not counted. As in a run,
  // stages get the memory of chunks and batches that are over.
  std::vector<ReplayTime> measure(const std::stop_token& stop);

 private:
  struct Transform {
    std::string label;
    InstanceFactory make_instance;
    Ordering ordering = Ordering::kParallel;
    std::vector<Chunk> inputs;
  };
  class Stream;

  void build(const StageConfig& stage, const StageType& type, const std::string& label);
  SampledChunk sample_chunk(Chunk chunk, const std::vector<std::unique_ptr<Stage>>& instances);
  std::vector<ReplayTime> measure_source(const std::stop_token& stop);
  ReplayTime measure_transform(const Transform& transform, const std::stop_token& stop) const;
  // The assembler, and each of the batch stages.
  std::vector<ReplayTime> measure_assembler(const std::stop_token& stop);
  // Calls `body(i)`, which returns nanoseconds, for every chunk of the sample.
  template <typename Body>
  ReplayTime time_halves(const Body& body, const std::stop_token& stop) const;

  const StageRegistry& registry_;
  StageConfig source_config_;
  StageConfig assembler_config_;
  std::vector<StageConfig> batch_stage_configs_;
  StreamInfo stream_;
  FileClaims files_;
  Metrics metrics_;  // nobody reads it; stages need one
  std::vector<Transform> transforms_;
  std::vector<Chunk> assembler_inputs_;
  std::vector<ReplayedStage> stages_;
  std::size_t source_rows_ = 0;  // the first of stages_
  std::vector<SampledChunk> sample_;
  const std::string text_stage_;
  int passes_ = 1;
};

}  // namespace penstock
