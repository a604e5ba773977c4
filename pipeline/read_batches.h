#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// Reads the first `count` batches, or as many as there are, of other shards in the way of a
// configuration: with its source, transforms and assembler, but for the source's option `paths`.
// Throws ConfigError, and what a run throws.
std::vector<std::shared_ptr<const Batch>> read_batches(const PipelineConfig& config,
                                                       const StageRegistry& registry,
                                                       const std::vector<std::string>& paths,
                                                       std::int64_t count);

}  // namespace penstock
