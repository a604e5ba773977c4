#pragma once

#include <string>

namespace penstock {

// `penstock report`: writes report.html into the folder of a run. Returns the exit status. Throws
// FileError.
int report_command(const std::string& folder);

}  // namespace penstock
