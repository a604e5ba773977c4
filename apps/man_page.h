#pragma once

#include <string>

#include "apps/command_description.h"

namespace penstock {

// The page of section 1, in the language of man(7).
std::string man_page(const CommandDescription& program, const std::string& version);

}  // namespace penstock
