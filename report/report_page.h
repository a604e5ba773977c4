#pragma once

#include <string>

#include "report/page_data.h"
#include "report/run_folder.h"

namespace penstock {

// The page as one HTML document that needs nothing else: style, script and chart library are in
// it. Shows `page`; where that is live, it asks the server that it came from for more.
std::string report_page(const PageData& page);

// Writes report.html into the folder, from the history and the summary in it. Returns its path.
// Throws FileError; also where the folder holds no run.
std::string write_report_page(const RunFolder& folder);

}  // namespace penstock
