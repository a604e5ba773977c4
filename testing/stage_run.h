#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/chunk.h"
#include "pipeline/pipeline.h"
#include "pipeline/stage_registry.h"

namespace penstock::testing {

// What a stage gave in a run of its own.
struct StageRun {
  std::vector<Chunk> chunks;  // in stream order, with what was refused in their `rejects`
  RunSummary summary;         // of the whole run, the fakes included
};

// Run one registered stage between fakes, in a pipeline like any other: options are checked,
// instances are made for each of `threads`, order and promises are looked after. `stage` is what a
// configuration would say behind "- ", in one line: "min_length: {min_bytes: 10}". Records that are
// refused do not end the run. Throw what a run throws: ConfigError for the options, StageError for
// the stage.

// A source.
StageRun run_source(const StageRegistry& registry, const std::string& stage, int threads = 2);

// A stage between chunks. `chunks` must be of the payload that it takes.
StageRun run_stage(const StageRegistry& registry,
                   const std::string& stage,
                   const std::vector<Chunk>& chunks,
                   int threads = 2);

// The same for one chunk and the payloads that the stage is known to have:
//   texts_of(run_stage<DocumentChunk>(registry, "min_length", document_chunk({"a", "bcd"})))
template <typename Out, typename In>
Out run_stage(const StageRegistry& registry, const std::string& stage, In chunk) {
  std::vector<Chunk> given;
  given.push_back(std::move(chunk));
  return std::get<Out>(std::move(run_stage(registry, stage, given).chunks.at(0)));
}

// A batch stage between batches, which must all be of one shape. Returns what it gave.
std::vector<Batch> run_batch_stage(const StageRegistry& registry,
                                   const std::string& stage,
                                   const std::vector<Batch>& batches);

// A sink: what it tells is in StageRun::summary.sinks. All batches must be of one shape.
StageRun run_sink(const StageRegistry& registry,
                  const std::string& stage,
                  const std::vector<Batch>& batches,
                  int threads = 2);

}  // namespace penstock::testing
