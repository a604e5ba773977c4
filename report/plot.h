#pragma once

#include <string>
#include <vector>

#include "report/chart.h"
#include "report/drawing.h"
#include "report/run_folder.h"
#include "report/time_line.h"

namespace penstock {

// Charts of the page as pictures of 1200 pixels' width.
Drawing plot_chart(const Chart& chart);
Drawing plot_standings(const std::vector<Standing>& standings);
Drawing plot_time_line(const TimeLine& line);

// Draws every chart that has something to show from the history in `run`, into the folder `output`,
// which is made where there is none, each as ID.png. Returns their paths. Throws FileError; also
// where there is nothing to draw.
std::vector<std::string> write_plots(const RunFolder& run, const std::string& output);

}  // namespace penstock
