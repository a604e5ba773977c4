#pragma once

#include <stop_token>

#include "pipeline/config.h"
#include "pipeline/pipeline.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// What a run with its sinks did in a stretch of its time in which it was warm.
struct ConfiguredRun {
  RunSummary stretch;    // see stretch_between(); wall_seconds is 0 where no batch was completed
  double gpu_busy = 0;   // share of the stretch, kernels; NaN where no GPU was observed
  double copy_busy = 0;  // share of the stretch, copies to the device; the same
  double tokens_per_batch = 0;
  int passes = 1;  // how often the input was begun, by the lane that did so most
};

// Runs the pipeline of `config`, sinks included, over its input again and again for `seconds`, and
// stops it, so that its sinks publish nothing. Throws what building and running throw.
ConfiguredRun run_as_configured(double seconds,
                                const PipelineConfig& config,
                                const StageRegistry& registry,
                                const std::stop_token& stop);

}  // namespace penstock
