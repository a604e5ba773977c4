#include "apps/all_stages.h"
#include "apps/command_line.h"
#include "min_length.h"

// The command `penstock` with one stage more.
int main(int argc, char** argv) {
  penstock::StageRegistry registry = penstock::all_stages();
  register_min_length(registry);
  return penstock::run_command_line(argc, argv, registry);
}
