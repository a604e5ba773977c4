#include "apps/plot_command.h"

#include "apps/exit_status.h"
#include "apps/standard_streams.h"
#include "report/plot.h"

namespace penstock {

int plot_command(const std::string& folder, const std::string& output) {
  std::string lines;
  for (const std::string& path :
       write_plots({folder}, output.empty() ? folder + "/plots" : output)) {
    lines += path + '\n';
  }
  write_standard_output(lines);
  return kExitSuccess;
}

}  // namespace penstock
