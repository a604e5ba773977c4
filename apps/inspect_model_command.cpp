#include "apps/inspect_model_command.h"

#include <stdexcept>

#include "apps/exit_status.h"
#include "apps/standard_streams.h"
#include "stages/tokenizer/model_report.h"

namespace penstock {

int inspect_model_command(const std::string& path) {
  std::string report;
  try {
    report = model_report(path);
  } catch (const std::runtime_error& error) {
    write_standard_error(std::string("penstock: ") + error.what() + '\n');
    return kExitUsage;
  }
  write_standard_output(report);
  return kExitSuccess;
}

}  // namespace penstock
