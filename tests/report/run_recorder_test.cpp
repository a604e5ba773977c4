#include "report/run_recorder.h"

#include <cmath>
#include <functional>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/config.h"
#include "tests/fakes.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::AllOf;
using testing::CollectingSink;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::SizeIs;

// A pipeline of fakes whose sink tells a loss after every batch, if it is to.
class RunRecorderTest : public ::testing::Test {
 protected:
  void build(bool tells_figures) {
    StageRegistry registry;
    registry.add(
        testing::token_source([] { return std::make_unique<testing::NumberSource>(1, 20); }));
    registry.add(testing::row_assembler(32));
    StageType sink;
    sink.name = "train";
    sink.input = Payload::kBatch;
    sink.factory =
        SinkFactory([this, tells_figures](const StageConfig&, const BuildContext& context) {
          CollectingSink::Options options;
          if (tells_figures) {
            options.on_batch = [&metrics = context.metrics](std::int64_t index) {
              metrics.pass_on_figures(
                  "train", index + 1, {{"loss", 1.0 / static_cast<double>(index + 1)}});
            };
          }
          return std::make_unique<CollectingSink>(std::move(options), collected_);
        });
    registry.add(std::move(sink));
    pipeline_.emplace(parse_config("pipeline: [numbers, rows, train]", "test.yaml", registry),
                      registry);
  }

  void run(RunRecorder& recorder) {
    recorder.start();
    pipeline_->run();
    recorder.stop();
  }

  TemporaryFolder folder_;
  const RunFolder run_{folder_.path()};
  CollectingSink::Collected collected_;
  std::optional<Pipeline> pipeline_;
};

TEST_F(RunRecorderTest, KeepsEveryFigureThatASinkTells) {
  build(true);
  RunRecorder recorder(*pipeline_, run_, {});
  run(recorder);
  const RunData read = read_run_data(run_);
  ASSERT_THAT(read.metrics, SizeIs(collected_.indices.size()));
  EXPECT_EQ(read.metrics.back().step, static_cast<double>(collected_.indices.size()));
  EXPECT_EQ(read.metrics[3].loss, 0.25);
  EXPECT_FALSE(read.occupancy.empty());
  EXPECT_THAT(recorder.since({}).metrics, SizeIs(read.metrics.size()));
  EXPECT_THAT(recorder.since({read.metrics.size() - 2, 0, 0}).metrics, SizeIs(2));
  EXPECT_THAT(recorder.problem(), IsEmpty());
}

TEST_F(RunRecorderTest, HasRowsOfARunWithoutFigures) {
  build(false);
  RunRecorder recorder(*pipeline_, run_, {});
  run(recorder);
  const RunData read = read_run_data(run_);
  ASSERT_FALSE(read.metrics.empty());
  EXPECT_TRUE(std::isnan(read.metrics.back().step));
  EXPECT_EQ(read.metrics.back().tokens, static_cast<double>(collected_.tokens.size()));
}

TEST_F(RunRecorderTest, GoesOnWhereAnotherRunEnded) {
  build(true);
  MetricsRow earlier;
  earlier.step = 0;
  earlier.time = 100;
  RunRecorder recorder(*pipeline_, run_, {{earlier}, {}, {}});
  run(recorder);
  const RunData read = read_run_data(run_);
  ASSERT_THAT(read.metrics, SizeIs(collected_.indices.size() + 1));
  EXPECT_EQ(read.metrics.front().time, 100);
  EXPECT_GE(read.metrics[1].time, 100);
}

TEST_F(RunRecorderTest, SaysThatItCouldNotWriteAndLetsTheRunGoOn) {
  build(true);
  RunRecorder recorder(*pipeline_, run_, {});
  {
    const FileSizeLimit limit(1000);
    run(recorder);
  }
  EXPECT_TRUE(collected_.finished);
  EXPECT_THAT(recorder.problem(), HasSubstr("the history of the run ends early: cannot write"));
  EXPECT_THAT(recorder.since({}).metrics, SizeIs(collected_.indices.size()));
  const RunData read = read_run_data(run_);
  EXPECT_THAT(read.metrics, SizeIs(AllOf(Gt(0), Lt(collected_.indices.size()))));
}

}  // namespace
}  // namespace penstock
