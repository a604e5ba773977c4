#include "report/run_folder.h"

#include <cmath>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "pipeline/errors.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

MetricsRow row_at(double step) {
  MetricsRow row;
  row.step = step;
  row.time = step / 10;
  row.loss = 1 / step;
  row.limiting_stage = "sink[1], \"x\"";
  return row;
}

RunData sample_data() {
  OccupancyRow occupancy;
  occupancy.time = 0.25;
  occupancy.seconds = 0.25;
  occupancy.threads_busy = 0.5;
  occupancy.stages = {{"read", 0.125, false}, {"device", 0.75, true}};
  OccupancyRow later = occupancy;
  later.time = 0.5;
  return {{row_at(1), row_at(2), row_at(3)},
          {occupancy, later},
          {{1, "a", "b", "c"}, {3, "</script>\n", "\xff", "\""}}};
}

class RunFolderTest : public testing::Test {
 protected:
  std::string content(const char* name) const {
    std::ostringstream content;
    content << std::ifstream(run_.file(name)).rdbuf();
    return content.str();
  }

  TemporaryFolder folder_;
  const RunFolder run_{folder_.path()};
};

TEST_F(RunFolderTest, ReadsWhatItWrote) {
  RunFolderWriter writer(run_, {});
  writer.append(sample_data());
  const RunData read = read_run_data(run_);
  ASSERT_THAT(read.metrics, SizeIs(3));
  EXPECT_EQ(read.metrics[2].step, 3);
  EXPECT_EQ(read.metrics[2].loss, 0.333333333);
  EXPECT_TRUE(std::isnan(read.metrics[2].accuracy));
  EXPECT_EQ(read.metrics[2].limiting_stage, "sink[1], \"x\"");
  ASSERT_THAT(read.occupancy, SizeIs(2));
  EXPECT_EQ(read.occupancy[0].threads_busy, 0.5);
  EXPECT_TRUE(std::isnan(read.occupancy[0].gpu_busy));
  ASSERT_THAT(read.occupancy[0].stages, SizeIs(2));
  EXPECT_EQ(read.occupancy[0].stages[1].name, "device");
  EXPECT_EQ(read.occupancy[0].stages[1].busy, 0.75);
  EXPECT_TRUE(read.occupancy[0].stages[1].has_own_thread);
  ASSERT_THAT(read.samples, SizeIs(2));
  EXPECT_EQ(read.samples[1].step, 3);
  EXPECT_EQ(read.samples[1].prompt, "</script>\n");
  EXPECT_EQ(read.samples[1].predicted, "\xef\xbf\xbd");
  EXPECT_EQ(read.samples[1].reference, "\"");
}

TEST_F(RunFolderTest, HasTheSameRowsAsCsv) {
  RunFolderWriter writer(run_, {{row_at(1)}, {}, {}});
  writer.append({{row_at(2)}, {}, {}});
  EXPECT_EQ(content(RunFolder::kMetricsCsv),
            "step,time,tokens,loss,accuracy,perplexity,eval_loss,learning_rate,gradient_norm,"
            "tokens_per_second,mfu,gpu_busy,gpu_memory,cpu_cores,limiting_stage\n"
            "1,0.1,,1,,,,,,,,,,,\"sink[1], \"\"x\"\"\"\n"
            "2,0.2,,0.5,,,,,,,,,,,\"sink[1], \"\"x\"\"\"\n");
}

TEST_F(RunFolderTest, HasNullForWhatIsNotKnown) {
  RunFolderWriter writer(run_, {});
  MetricsRow row;
  row.loss = INFINITY;
  writer.append({{row}, {}, {}});
  const auto rows = nlohmann::json::parse(content(RunFolder::kMetrics));
  EXPECT_TRUE(rows[0]["loss"].is_null());
  EXPECT_TRUE(rows[0]["step"].is_null());
  EXPECT_TRUE(rows[0]["limiting_stage"].is_null());
  EXPECT_EQ(rows[0].size(), 15U);
}

TEST_F(RunFolderTest, DropsWhatCameAfterAStep) {
  const RunData kept = up_to_step(sample_data(), 2);
  EXPECT_THAT(kept.metrics, SizeIs(2));
  EXPECT_THAT(kept.occupancy, SizeIs(0));  // the second step came after 0.2 s
  EXPECT_THAT(kept.samples, SizeIs(1));
  EXPECT_TRUE(up_to_step(sample_data(), 0).is_empty());
}

TEST_F(RunFolderTest, NamesARowThatIsNone) {
  std::ofstream(run_.file(RunFolder::kOccupancy)) << "[\n{\"time\":1}\n]\n";
  EXPECT_THAT([&] { read_run_data(run_); },
              ThrowsMessage<FileError>(HasSubstr("occupancy_history.json', row 1: not a row: ")));
}

}  // namespace
}  // namespace penstock
