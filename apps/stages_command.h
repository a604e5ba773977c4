#pragma once

#include <string>

#include "pipeline/stage_registry.h"

namespace penstock {

// `penstock stages`: prints the stages in the order in which they can follow each other.
int list_stages_command(const StageRegistry& registry);
// `penstock stages NAME`: prints one stage's options.
int describe_stage_command(const std::string& name, const StageRegistry& registry);
// `penstock stages --markdown`: prints the configuration reference.
int configuration_reference_command(const StageRegistry& registry);

// The list that list_stages_command prints.
std::string stage_list(const StageRegistry& registry);

}  // namespace penstock
