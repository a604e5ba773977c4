#pragma once

#include <string>

#include "apps/run_report.h"

namespace penstock {

// The summary that `penstock run` prints, for people; lines end in '\n'.
std::string summary_text(const RunReport& report);

}  // namespace penstock
