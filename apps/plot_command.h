#pragma once

#include <string>

namespace penstock {

// `penstock plot`: draws the charts of a run into `output`; empty: the folder plots in that of the
// run. Returns the exit status. Throws FileError.
int plot_command(const std::string& folder, const std::string& output);

}  // namespace penstock
