#include "apps/all_stages.h"
#include "apps/command_line.h"
#include "pipeline/plugin.h"

// The command `penstock` with the stage linked in: without a plug-in to be found.
int main(int argc, char** argv) {
  penstock::StageRegistry registry = penstock::all_stages();
  penstock_register_stages(registry);
  return penstock::run_command_line(argc, argv, registry);
}
