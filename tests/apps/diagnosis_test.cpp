#include "apps/diagnosis.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>

#include "apps/diagnosis_text.h"
#include "tests/apps/simulated_pipeline.h"

namespace penstock {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// How far a prediction may be from what comes of it.
constexpr double kTolerance = 0.12;

// Applies the remedy whose text holds `what`, in the configuration or as `change` says, and
// compares.
void expect_kept(const SimulatedPipeline& pipeline,
                 const std::string& what,
                 const std::function<void(SimulatedPipeline&)>& change = {}) {
  const Diagnosis diagnosis = diagnose(pipeline.measure());
  const auto remedy =
      std::find_if(diagnosis.remedies.begin(), diagnosis.remedies.end(), [&](const Remedy& one) {
        return one.what.find(what) != std::string::npos;
      });
  ASSERT_NE(remedy, diagnosis.remedies.end()) << what << " is not advised";
  SimulatedPipeline changed = pipeline;
  for (const std::string& line : remedy->lines) {
    changed.apply(line);
  }
  if (change) {
    change(changed);
  }
  const double came = changed.bytes_per_second();
  EXPECT_NEAR(remedy->bytes_per_second / came, 1, kTolerance) << what;
  EXPECT_GT(came, 1.02 * pipeline.bytes_per_second()) << what;
}

Bottleneck limit_of(const SimulatedPipeline& pipeline) {
  return diagnose(pipeline.measure()).limit;
}

TEST(Diagnosis, FindsTooFewThreads) {
  SimulatedPipeline pipeline;
  pipeline.threads = 2;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kTooFewThreads);
  expect_kept(pipeline, "Use every processor");
}

TEST(Diagnosis, FindsTooFewLanes) {
  SimulatedPipeline pipeline;
  pipeline.lanes = 1;
  pipeline.decompress = 0.2;
  pipeline.tokenize = 0.2;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kTooFewLanes);
  expect_kept(pipeline, "Read more shards");
}

TEST(Diagnosis, FindsTooFewThreadsAndThenLanes) {
  SimulatedPipeline pipeline;
  pipeline.threads = 2;
  pipeline.lanes = 1;
  pipeline.decompress = 0.15;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kTooFewThreads);
  expect_kept(pipeline, "Use every processor, and read more shards");
}

TEST(Diagnosis, FindsTheDisk) {
  SimulatedPipeline pipeline;
  pipeline.lanes = 2;
  pipeline.disk = 1.5;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kDisk);
  expect_kept(pipeline, "on a disk", [](SimulatedPipeline& changed) { changed.disk = 0; });
}

TEST(Diagnosis, FindsTokenization) {
  SimulatedPipeline pipeline;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kTokenization);
  expect_kept(pipeline, "'tokenize' twice as fast", [](SimulatedPipeline& changed) {
    changed.tokenize /= 2;
  });
}

TEST(Diagnosis, FindsParsing) {
  SimulatedPipeline pipeline;
  pipeline.parse = 0.6;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kParsing);
  expect_kept(
      pipeline, "'parse' twice as fast", [](SimulatedPipeline& changed) { changed.parse /= 2; });
}

TEST(Diagnosis, FindsDecompression) {
  SimulatedPipeline pipeline;
  pipeline.decompress = 0.6;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kDecompression);
  expect_kept(
      pipeline, "without compression", [](SimulatedPipeline& changed) { changed.decompress = 0; });
}

TEST(Diagnosis, FindsPacking) {
  SimulatedPipeline pipeline;
  pipeline.pack = 0.3;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kPacking);
  expect_kept(
      pipeline, "'pack' twice as fast", [](SimulatedPipeline& changed) { changed.pack /= 2; });
}

TEST(Diagnosis, FindsANoisyNeighbour) {
  SimulatedPipeline pipeline;
  pipeline.processor_share = 0.5;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kNoisyNeighbour);
  expect_kept(pipeline, "no other program", [](SimulatedPipeline& changed) {
    changed.processor_share = 1;
  });
}

TEST(Diagnosis, FindsTheMemoryLimit) {
  SimulatedPipeline pipeline;
  pipeline.memory_chunks = pipeline.lanes = 4;
  const Diagnosis diagnosis = diagnose(pipeline.measure());
  EXPECT_EQ(diagnosis.limit, Bottleneck::kMemoryLimit);
  EXPECT_THAT(diagnosis.evidence, HasSubstr("memory_limit (4 MiB) was used up"));
  ASSERT_FALSE(diagnosis.remedies.empty());
  EXPECT_THAT(diagnosis.remedies[0].lines, ElementsAre("memory_limit: 16MiB"));
  expect_kept(pipeline, "more bytes");
}

TEST(Diagnosis, FindsTheGpuAndHowFewThreadsKeepItBusy) {
  SimulatedPipeline pipeline;
  pipeline.gpu = 0.3;
  const Diagnosis diagnosis = diagnose(pipeline.measure());
  EXPECT_EQ(diagnosis.limit, Bottleneck::kGpu);
  expect_kept(pipeline, "twice as fast", [](SimulatedPipeline& changed) { changed.gpu /= 2; });
  SimulatedPipeline fewer = pipeline;
  ASSERT_FALSE(diagnosis.remedies.empty());
  ASSERT_EQ(diagnosis.remedies.back().lines.size(), 1U);
  fewer.apply(diagnosis.remedies.back().lines[0]);
  EXPECT_LT(fewer.threads, pipeline.threads);
  EXPECT_NEAR(fewer.bytes_per_second() / pipeline.bytes_per_second(), 1, 0.02);
}

TEST(Diagnosis, FindsTheHostInFrontOfTheGpu) {
  SimulatedPipeline pipeline;
  pipeline.host = 0.2;
  pipeline.gpu = 0.1;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kHostSynchronisation);
  expect_kept(pipeline, "larger batches");
}

TEST(Diagnosis, FindsADeviceThatIsTheCpu) {
  SimulatedPipeline pipeline;
  pipeline.gpu = 1;
  pipeline.is_observed = false;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kDeviceOnCpu);
}

TEST(Diagnosis, FindsTheCopyAndWriting) {
  SimulatedPipeline pipeline;
  pipeline.gpu = 0.3;
  RunEvidence evidence = pipeline.measure();
  evidence.gpu_busy = 0.4;
  evidence.copy_busy = 0.9;
  const Diagnosis copy = diagnose(evidence);
  EXPECT_EQ(copy.limit, Bottleneck::kCopy);
  EXPECT_THAT(copy.evidence, HasSubstr("copied batches for 90 %"));
  evidence.sink = "write_npy";
  evidence.sink_is_device = false;
  EXPECT_EQ(diagnose(evidence).limit, Bottleneck::kWriting);
}

TEST(Diagnosis, AdvisesNothingThatDoesNotHelp) {
  SimulatedPipeline pipeline;
  for (const Remedy& remedy : diagnose(pipeline.measure()).remedies) {
    EXPECT_THAT(remedy.lines, IsEmpty()) << remedy.what;
    EXPECT_GT(remedy.bytes_per_second, pipeline.bytes_per_second()) << remedy.what;
  }
}

TEST(Diagnosis, IsToldInWords) {
  SimulatedPipeline pipeline;
  pipeline.threads = 2;
  const RunEvidence evidence = pipeline.measure();
  const std::string text = diagnosis_text(evidence, diagnose(evidence));
  EXPECT_THAT(text, HasSubstr("What limits: too few threads\n"));
  EXPECT_THAT(text, HasSubstr("It runs on 2 threads, though there are 8 processors."));
  EXPECT_THAT(text, HasSubstr("\n           threads: 8\n"));
  EXPECT_THAT(text, HasSubstr("  tokenize"));
}

}  // namespace
}  // namespace penstock
