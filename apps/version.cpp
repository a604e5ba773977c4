#include "apps/version.h"

#include "pipeline/plugin_loader.h"
#include "stages/tokenizer/text_kernels.h"

namespace penstock {

const char* version() {
  return PENSTOCK_VERSION;
}

std::string version_text() {
  std::string levels;
  for (const std::string& level : simd_levels()) {
    levels += (levels.empty() ? "" : ", ") + level;
  }
  return std::string("penstock ") + version() +
         "\n"
         "  interface  " +
         interface_version() +
         "\n"
         "  built by   " PENSTOCK_COMPILER
         "\n"
         "  with       " PENSTOCK_LIBRARIES
         "\n"
         "  CUDA       " PENSTOCK_CUDA_VERSION
         "\n"
         "  SIMD       " +
         levels + " (of this machine, the best first)";
}

}  // namespace penstock
