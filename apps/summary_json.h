#pragma once

#include <string>

#include "apps/run_report.h"

namespace penstock {

// The file of `penstock run --summary`, with a final newline. docs/summary.md explains every key.
std::string summary_json(const RunReport& report);

}  // namespace penstock
