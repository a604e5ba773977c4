#include "apps/diagnosis.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>

#include "apps/diagnosis_text.h"
#include "tests/apps/simulated_pipeline.h"

namespace penstock {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

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
  for (const OptionChange& change_of_option : remedy->changes) {
    changed.apply(change_of_option);
  }
  if (change) {
    change(changed);
  }
  const double came = changed.bytes_per_second();
  EXPECT_NEAR(remedy->predicted / came, 1, kTolerance) << what;
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
  ASSERT_EQ(diagnosis.remedies[0].changes.size(), 1U);
  EXPECT_EQ(config_line(diagnosis.remedies[0].changes[0]), "memory_limit: 16MiB");
  expect_kept(pipeline, "more bytes");
}

TEST(Diagnosis, AsksForMemoryForTwoChunksOfEachThread) {
  SimulatedPipeline pipeline;
  pipeline.memory_chunks = pipeline.lanes = 4;
  RunEvidence evidence = pipeline.measure();
  evidence.peak_in_flight_bytes = 12 * evidence.memory_limit;  // each lane has a chunk of 12 MiB
  const Diagnosis diagnosis = diagnose(evidence);
  ASSERT_FALSE(diagnosis.remedies.empty());
  ASSERT_EQ(diagnosis.remedies[0].changes.size(), 1U);
  EXPECT_EQ(config_line(diagnosis.remedies[0].changes[0]), "memory_limit: 288MiB");

  evidence.machine_memory = std::int64_t{200} << 20;
  EXPECT_EQ(config_line(diagnose(evidence).remedies.at(0).changes.at(0)), "memory_limit: 100MiB");
  evidence.machine_memory = 2 * evidence.memory_limit;
  EXPECT_THAT(diagnose(evidence).remedies, IsEmpty());
}

TEST(Diagnosis, FindsTheGpuAndHowFewThreadsKeepItBusy) {
  SimulatedPipeline pipeline;
  pipeline.gpu = 0.3;
  const Diagnosis diagnosis = diagnose(pipeline.measure());
  EXPECT_EQ(diagnosis.limit, Bottleneck::kGpu);
  expect_kept(pipeline, "twice as fast", [](SimulatedPipeline& changed) { changed.gpu /= 2; });
  SimulatedPipeline fewer = pipeline;
  ASSERT_FALSE(diagnosis.remedies.empty());
  ASSERT_EQ(diagnosis.remedies.back().changes.size(), 1U);
  fewer.apply(diagnosis.remedies.back().changes[0]);
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

TEST(Diagnosis, FindsTheCopyThatWaitsForTheOnlySlot) {
  SimulatedPipeline pipeline;
  pipeline.copy = 0.3;
  pipeline.gpu = 0.03;
  pipeline.slots = 1;
  const Diagnosis diagnosis = diagnose(pipeline.measure());
  EXPECT_EQ(diagnosis.limit, Bottleneck::kCopy);
  EXPECT_THAT(diagnosis.evidence, HasSubstr("copied batches for 91 %"));
  expect_kept(pipeline, "more batches ahead");
  expect_kept(pipeline, "copies to its GPU twice as fast", [](SimulatedPipeline& changed) {
    changed.copy /= 2;
  });
}

TEST(Diagnosis, FindsTheCopy) {
  SimulatedPipeline pipeline;
  pipeline.copy = 0.3;
  EXPECT_EQ(limit_of(pipeline), Bottleneck::kCopy);
  expect_kept(pipeline, "copies to its GPU twice as fast", [](SimulatedPipeline& changed) {
    changed.copy /= 2;
  });
}

TEST(Diagnosis, FindsWriting) {
  SimulatedPipeline pipeline;
  pipeline.gpu = 0.3;
  RunEvidence evidence = pipeline.measure();
  evidence.sink = "write_npy";
  evidence.sink_is_device = false;
  EXPECT_EQ(diagnose(evidence).limit, Bottleneck::kWriting);
}

TEST(Diagnosis, AdvisesNothingThatDoesNotHelp) {
  SimulatedPipeline pipeline;
  for (const Remedy& remedy : diagnose(pipeline.measure()).remedies) {
    EXPECT_THAT(remedy.changes, IsEmpty()) << remedy.what;
    EXPECT_GT(remedy.predicted, pipeline.bytes_per_second()) << remedy.what;
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

TEST(Diagnosis, TellsWhatCameOfARemedyThatWasTried) {
  SimulatedPipeline pipeline;
  pipeline.threads = 2;
  const RunEvidence evidence = pipeline.measure();
  Diagnosis diagnosis = diagnose(evidence);
  ASSERT_GE(diagnosis.remedies.size(), 2U);
  ASSERT_EQ(diagnosis.remedies[0].what, "Use every processor.");
  diagnosis.remedies[0].tried = 1.2 * evidence.bytes_per_second;
  diagnosis.remedies[1].failure = "no memory";
  sort_by_gain(diagnosis.remedies);
  const std::string text = diagnosis_text(evidence, diagnosis);
  EXPECT_THAT(text, HasSubstr("\n  1.20x Use every processor. Tried: "));
  EXPECT_THAT(text, HasSubstr("predicted: 4.00x."));
  EXPECT_THAT(text, HasSubstr("that run failed: no memory"));
  EXPECT_NE(diagnosis.remedies[0].what, "Use every processor.") << "others gain more";
}

TEST(Diagnosis, TellsWhatMakesItSlowerApart) {
  SimulatedPipeline pipeline;
  pipeline.gpu = 0.3;
  const RunEvidence evidence = pipeline.measure();
  Diagnosis diagnosis = diagnose(evidence);
  ASSERT_EQ(diagnosis.remedies.size(), 2U);
  EXPECT_THAT(diagnosis_text(evidence, diagnosis), Not(HasSubstr("slower here")));
  diagnosis.remedies[1].tried = 0.5 * evidence.bytes_per_second;
  EXPECT_THAT(diagnosis_text(evidence, diagnosis),
              HasSubstr("\nTried, and slower here:\n\n  0.50x Use fewer threads"));
  diagnosis.remedies.erase(diagnosis.remedies.begin());
  EXPECT_THAT(diagnosis_text(evidence, diagnosis), HasSubstr("\nNo change that is known of"));
}

TEST(Diagnosis, AdvisesEveryProcessorForADeviceOnTheCpu) {
  SimulatedPipeline pipeline;
  pipeline.gpu = 10;
  pipeline.is_observed = false;
  pipeline.threads = 4;
  const Diagnosis diagnosis = diagnose(pipeline.measure());
  ASSERT_EQ(diagnosis.limit, Bottleneck::kDeviceOnCpu);
  ASSERT_FALSE(diagnosis.remedies.empty());
  EXPECT_THAT(diagnosis.remedies[0].what, StartsWith("Use every processor"));
  EXPECT_NEAR(diagnosis.remedies[0].predicted, 0.2, 0.001);
}

TEST(Diagnosis, TellsThatTheInputWasReadAgain) {
  RunEvidence evidence = SimulatedPipeline().measure();
  EXPECT_THAT(diagnosis_text(evidence, diagnose(evidence)), Not(HasSubstr("read again")));
  evidence.read_again = true;
  EXPECT_THAT(diagnosis_text(evidence, diagnose(evidence)), HasSubstr("read again"));
}

TEST(Diagnosis, KnowsThatPlainShardsAreMoreToRead) {
  SimulatedPipeline pipeline;
  pipeline.decompress = 0.6;
  RunEvidence evidence = pipeline.measure();
  evidence.costs[0].seconds_per_byte = 0.03;
  const auto gain = [&] {
    const Diagnosis diagnosis = diagnose(evidence);
    EXPECT_EQ(diagnosis.limit, Bottleneck::kDecompression);
    return diagnosis.remedies.at(0).predicted / evidence.bytes_per_second;
  };
  const double as_large = gain();
  evidence.expansion = 4;
  // Two copies of four bytes instead of one copy of one byte and of decompressing it.
  EXPECT_NEAR(as_large / gain(), (8 * 0.03 + 0.36) / (2 * 0.03 + 0.36), 0.01);
}

}  // namespace
}  // namespace penstock
