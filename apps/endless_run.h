#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "pipeline/config.h"
#include "pipeline/endless_source.h"
#include "pipeline/pipeline.h"
#include "pipeline/stage_registry.h"
#include "pipeline/stage_replay.h"

namespace penstock {

// What a run got done in a stretch of its time.
struct EndlessRun {
  double seconds = 0;
  double cpu_seconds = 0;       // of the process
  std::int64_t text_bytes = 0;  // that came to text_stage()
  RunSummary summary;           // of the whole run
};

// The stages of `registry`, but sources that never end. `made` is called with each that is
// built, which lives as long as the pipeline that it is built for.
StageRegistry with_endless_sources(const StageRegistry& registry,
                                   const std::function<void(const EndlessSource&)>& made = {});

// Runs the pipeline of `config` over its input, again and again, without its sinks, and tells what
// it does in `seconds` from its first packed chunk on. Throws what a run throws. Incomplete after a
// stop.
EndlessRun run_for(double seconds,
                   const PipelineConfig& config,
                   const StageRegistry& registry,
                   const std::stop_token& stop);

// Chunks that are timed for each thread at least: a chunk is either counted or not, though a thread
// may be in the midst of it.
constexpr int kLeastChunks = 8;

// The same for the time between the packing of the middle and of the end of `sample`, which the
// stream begins with. Where that is less than kLeastChunks for a thread it goes on until there are
// so many, or until `longest_seconds` have passed. Every thread has work all the while. Throws
// std::runtime_error where the stream does not begin with the sample.
EndlessRun run_sample(const std::vector<SampledChunk>& sample,
                      double longest_seconds,
                      const PipelineConfig& config,
                      const StageRegistry& registry,
                      const std::stop_token& stop);

}  // namespace penstock
