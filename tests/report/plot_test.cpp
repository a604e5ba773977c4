#include "report/plot.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "pipeline/errors.h"
#include "tests/report/sample_run.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;

constexpr const char* kPngSignature = "\x89PNG\r\n\x1a\n";

std::string content(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

TEST(Plot, DrawsEveryChartOfARun) {
  const TemporaryFolder folder;
  const RunFolder run{folder.path()};
  RunFolderWriter(run, sample_run(500));
  const std::vector<std::string> paths = write_plots(run, folder.path("plots/new"));
  EXPECT_THAT(paths, SizeIs(12));
  EXPECT_THAT(paths, Contains(folder.path("plots/new/time_line.png")));
  for (const std::string& path : paths) {
    EXPECT_THAT(content(path), StartsWith(kPngSignature));
    EXPECT_GT(std::filesystem::file_size(path), 5000U) << path;
  }
}

TEST(Plot, DrawsWhatThereIs) {
  const TemporaryFolder folder;
  const RunFolder run{folder.path()};
  RunData data = sample_run(1);
  data.metrics.front() = MetricsRow();
  data.metrics.front().tokens_per_second = 5;
  RunFolderWriter(run, data);
  EXPECT_THAT(write_plots(run, folder.path("plots")), SizeIs(4));
}

TEST(Plot, ShowsAPeakInALongRun) {
  std::vector<Point> flat(100'000);
  for (std::size_t i = 0; i < flat.size(); ++i) {
    flat[i].x = static_cast<double>(i);
  }
  Chart chart{"loss", "Loss", "step", "nats", Chart::Unit::kNumber, false, {{"loss", flat}}};
  const std::string without = plot_chart(chart).png();
  chart.series[0].points[54'321].y = 1;
  EXPECT_NE(plot_chart(chart).png(), without);
}

TEST(Plot, SaysWhereThereIsNothingToDraw) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { write_plots({folder.path()}, folder.path("plots")); },
              ThrowsMessage<FileError>(HasSubstr("there is nothing to draw")));
  const RunFolder run{folder.path()};
  RunFolderWriter(run, sample_run(2));
  std::ofstream(folder.path("file")) << "x";
  EXPECT_THAT([&] { write_plots(run, folder.path("file")); },
              ThrowsMessage<FileError>(HasSubstr("cannot make the folder")));
}

}  // namespace
}  // namespace penstock
