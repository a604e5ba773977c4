#include "report/chart.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "tests/report/sample_run.h"

namespace penstock {
namespace {

using ::testing::Each;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Chart chart(const RunData& data, const std::string& id, std::size_t max_points = 2000) {
  const std::vector<Chart> charts = charts_of(data, axis_of(data.metrics), max_points);
  return *std::find_if(
      charts.begin(), charts.end(), [&](const Chart& chart) { return chart.id == id; });
}

TEST(Chart, HasWhatIsKnownOfEveryFigure) {
  const RunData run = sample_run(100);
  const Chart loss = chart(run, "loss");
  EXPECT_EQ(loss.x_label, "step");
  ASSERT_THAT(loss.series, SizeIs(2));
  EXPECT_THAT(loss.series[0].points, SizeIs(100));
  EXPECT_THAT(loss.series[1].points, SizeIs(10));
  EXPECT_EQ(loss.series[1].points[0].x, 10);
  const Chart scatter = chart(run, "loss_accuracy");
  EXPECT_EQ(scatter.series[0].points[99].x, run.metrics.back().loss);
  EXPECT_EQ(scatter.series[0].points[99].y, run.metrics.back().accuracy);
  const Chart occupancy = chart(run, "occupancy");
  EXPECT_EQ(occupancy.x_label, "seconds");
  ASSERT_THAT(occupancy.series, SizeIs(3));
  EXPECT_EQ(occupancy.series[1].name, "tokenize");
  EXPECT_EQ(occupancy.series[1].points[60].y, 1);
}

TEST(Chart, ShowsTimeWhereARunHasNoSteps) {
  RunData run = sample_run(10);
  for (MetricsRow& row : run.metrics) {
    row.step = MetricsRow::kUnknown;
  }
  EXPECT_EQ(chart(run, "throughput").x_label, "seconds");
  EXPECT_EQ(chart(run, "throughput").series[0].points[2].x, 3);
}

TEST(Chart, HoldsFewPointsOfALongRun) {
  const RunData run = sample_run(10'000);
  for (const Chart& chart : charts_of(run, Axis::kStep, 500)) {
    for (const Chart::Series& series : chart.series) {
      EXPECT_LE(series.points.size(), 500U) << chart.id;
      EXPECT_FALSE(series.points.empty()) << chart.id;
    }
  }
}

TEST(Chart, IsThereWithoutAnyRow) {
  const std::vector<Chart> empty = charts_of({}, Axis::kTime, 100);
  EXPECT_THAT(empty, SizeIs(charts_of(sample_run(1), Axis::kStep, 100).size()));
  EXPECT_THAT(empty[0].series, Each(Field(&Chart::Series::points, IsEmpty())));
}

TEST(Chart, ComparesTheLastTenthWithTheRun) {
  RunData run = sample_run(20);
  for (std::size_t i = 0; i < 20; ++i) {
    run.metrics[i].accuracy = MetricsRow::kUnknown;
    run.metrics[i].tokens_per_second = i < 18 ? 100 : 200;
  }
  const std::vector<Standing> standings = standings_of(run.metrics);
  ASSERT_THAT(standings, SizeIs(2));
  EXPECT_EQ(standings[0].name, "loss");
  EXPECT_EQ(standings[1].name, "tokens per second");
  EXPECT_DOUBLE_EQ(standings[1].recent, 200);
  EXPECT_DOUBLE_EQ(standings[1].mean, 110);
}

}  // namespace
}  // namespace penstock
