#pragma once

#include "pipeline/interface_version.h"
#include "pipeline/stage_registry.h"

// Every plug-in defines this function once. Called right after the plug-in was loaded; what it
// throws refuses the plug-in. The registry must not be kept.
//
//   extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
//     registry.add_transform<MinLength>("min_length", "Drops short documents.", {...});
//   }
extern "C" [[gnu::visibility("default")]] void penstock_register_stages(
    penstock::StageRegistry& registry);

// Brings the interface version into the plug-in.
extern "C" [[gnu::used, gnu::visibility("default")]] inline const char*
penstock_interface_version() {
  return penstock::kInterfaceMark;
}
