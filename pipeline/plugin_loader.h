#pragma once

#include <stdexcept>
#include <string>

#include "pipeline/stage_registry.h"

namespace penstock {

// Says which plug-in cannot be used, and why.
class PluginError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What a plug-in must have been built for: "0.1-1a2b3c4d", the version of Penstock and a sum of its
// public headers.
std::string interface_version();

// Loads a shared library and lets it register its stages; see plugin.h. `file` is a path, relative
// to `folder` (the current one where that is empty); a name without '/' that is not there is left
// to the system's loader (LD_LIBRARY_PATH, ldconfig). It stays loaded to the end of the process.
// Throws PluginError with the plug-in's name, the cause nested where it threw; `registry` is then
// as before. One that is built for another interface is refused before any of its code runs, unless
// the loader had to find it.
void load_plugin(const std::string& file, const std::string& folder, StageRegistry& registry);

}  // namespace penstock
