#pragma once

#include "pipeline/stage_registry.h"

namespace penstock {

// Parses the command line, does what it asks for and returns the exit status (exit_status.h).
// Every error ends up as plain text on standard error.
int run_command_line(int argc, const char* const* argv, const StageRegistry& registry);

}  // namespace penstock
