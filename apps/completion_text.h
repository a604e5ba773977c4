#pragma once

#include <string>

#include "apps/command_description.h"

namespace penstock {

// What a shell completes the command with.
std::string bash_completion(const CommandDescription& program);
std::string zsh_completion(const CommandDescription& program);
std::string fish_completion(const CommandDescription& program);

}  // namespace penstock
