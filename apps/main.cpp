#include "apps/all_stages.h"
#include "apps/command_line.h"

int main(int argc, char** argv) {
  return penstock::run_command_line(argc, argv, penstock::all_stages());
}
