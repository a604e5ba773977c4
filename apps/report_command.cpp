#include "apps/report_command.h"

#include "apps/exit_status.h"
#include "apps/standard_streams.h"
#include "report/report_page.h"

namespace penstock {

int report_command(const std::string& folder) {
  write_standard_output("Wrote " + write_report_page({folder}) + '\n');
  return kExitSuccess;
}

}  // namespace penstock
