#include "pipeline/pipeline.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <numeric>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/errors.h"
#include "tests/fakes.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using testing::chunk_number;
using testing::CollectingSink;
using ::testing::HasSubstr;
using testing::NumberSource;
using namespace std::chrono_literals;

// One run of a chain of fakes: numbers -> the given stages -> rows -> a collecting sink.
struct FakeRun {
  int threads = 2;
  int lanes = 1;
  int chunks = 100;
  std::string memory_limit = "1GiB";
  std::string run_options;
  std::vector<StageType> stages;
  CollectingSink::Options sink;
  std::function<std::unique_ptr<Source>()> source;

  CollectingSink::Collected collected;
  RunSummary summary;

  void go(std::stop_token stop = {}) {
    StageRegistry registry;
    registry.add(testing::token_source(
        source ? source : [this] { return std::make_unique<NumberSource>(lanes, chunks); }));
    registry.add(testing::row_assembler(32));
    std::string yaml = "threads: " + std::to_string(threads) + "\nmemory_limit: " + memory_limit +
                       "\n" + run_options + "\npipeline:\n- numbers\n";
    for (const StageType& stage : stages) {
      registry.add(stage);
      yaml += "- " + stage.name + "\n";
    }
    yaml += "- rows\n- collect\n";
    registry.add(collecting_type());
    Pipeline pipeline(parse_config(yaml, "test.yaml", registry), registry);
    try {
      summary = pipeline.run(std::move(stop));
    } catch (...) {
      summary = pipeline.progress();
      throw;
    }
  }

  // The message of the error that the run ends with.
  std::string failure(std::stop_token stop = {}) {
    try {
      go(std::move(stop));
    } catch (const std::exception& error) {
      return full_message(error);
    }
    return "no error";
  }

 private:
  StageType collecting_type() {
    StageType type;
    type.name = "collect";
    type.summary = "Keeps everything.";
    type.input = Payload::kBatch;
    type.factory = SinkFactory([this](const StageConfig&, const BuildContext&) {
      return std::make_unique<CollectingSink>(sink, collected);
    });
    return type;
  }
};

StageType jitter(const std::string& name, std::chrono::microseconds most) {
  return testing::token_stage(name, [most](TokenChunk chunk) {
    testing::spin(static_cast<std::uint64_t>(chunk.position.byte_offset), most);
    return chunk;
  });
}

StageType failing_at(const std::string& name, int number) {
  return testing::token_stage(name, [number](TokenChunk chunk) {
    if (chunk_number(chunk) == number) {
      throw std::runtime_error("cannot digest chunk " + std::to_string(number));
    }
    return chunk;
  });
}

StageType refusing(const std::string& name, int every) {
  return testing::token_stage(name, [every](TokenChunk chunk) {
    if (chunk_number(chunk) % every == every - 1) {
      chunk.rejects.push_back({chunk.position, "not to my taste", "raw", 3, ""});
    }
    return chunk;
  });
}

class StreamProperty : public ::testing::TestWithParam<std::tuple<int, int, std::string, int>> {};

TEST_P(StreamProperty, EqualsThePlainLoop) {
  const auto& [threads, lanes, memory_limit, slowness] = GetParam();
  FakeRun run;
  run.threads = threads;
  run.lanes = lanes;
  run.chunks = 300;
  run.memory_limit = memory_limit;
  run.stages = {jitter("first", 40us), jitter("second", 20us)};
  run.sink.slowness = std::chrono::microseconds(slowness);
  run.go();
  EXPECT_EQ(run.collected.tokens, NumberSource::sequential(lanes, 300));
  EXPECT_TRUE(run.collected.finished);
  EXPECT_TRUE(run.summary.finished);
  EXPECT_EQ(run.summary.tokens.in, std::ssize(run.collected.tokens));
  EXPECT_EQ(run.summary.delivered_tokens, run.summary.tokens.out);
  EXPECT_EQ(run.summary.share_done().value_or(1), 1);
  EXPECT_EQ(run.summary.batches, std::ssize(run.collected.indices));
  std::vector<std::int64_t> expected(run.collected.indices.size());
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(run.collected.indices, expected);
}

INSTANTIATE_TEST_SUITE_P(ThreadsLanesMemorySlowness,
                         StreamProperty,
                         ::testing::Combine(::testing::Values(1, 2, 8),
                                            ::testing::Values(1, 3),
                                            ::testing::Values("1MiB", "1GiB"),
                                            ::testing::Values(0, 50)));

TEST(Pipeline, RunsAnEmptySource) {
  FakeRun run;
  run.source = [] { return std::make_unique<NumberSource>(3, -10); };
  run.go();
  EXPECT_TRUE(run.collected.finished);
  EXPECT_EQ(run.summary.batches, 0);
}

TEST(Pipeline, GivesAnInOrderStageTheStreamInOrder) {
  for (const int threads : {1, 2, 8}) {
    std::vector<std::pair<std::string, int>> seen;
    FakeRun run;
    run.threads = threads;
    run.lanes = 3;
    run.stages = {jitter("before", 40us),
                  testing::token_stage(
                      "look",
                      [&seen](TokenChunk chunk) {
                        seen.emplace_back(*chunk.position.shard, chunk_number(chunk));
                        return chunk;
                      },
                      Ordering::kInOrder),
                  jitter("behind", 40us)};
    run.go();
    ASSERT_EQ(seen.size(), 100u + 105u + 110u);
    EXPECT_EQ(seen[3], (std::pair<std::string, int>("lane-0", 1)));
    EXPECT_EQ(seen.back(), (std::pair<std::string, int>("lane-2", 109)));
    EXPECT_EQ(run.collected.tokens, NumberSource::sequential(3, 100));
  }
}

TEST(Pipeline, ReportsTheFirstFailureOfTheStreamWhateverTheTiming) {
  for (int round = 0; round < 50; ++round) {
    FakeRun run;
    run.threads = 8;
    run.stages = {testing::token_stage("slow_then_fail", [](TokenChunk chunk) {
      if (chunk_number(chunk) == 40) {
        testing::spin(7, 500us);
        throw std::runtime_error("the earlier one");
      }
      if (chunk_number(chunk) > 40) {
        throw std::runtime_error("a later one");
      }
      return chunk;
    })};
    const std::string message = run.failure();
    EXPECT_EQ(message,
              "stage 'slow_then_fail' failed on chunk 41 (lane-0, record 41, byte 4000): "
              "the earlier one");
    EXPECT_FALSE(run.collected.finished);
  }
}

TEST(Pipeline, ComesBackWithinTwoSecondsWhereverAStageFails) {
  for (int number = 0; number < 300; ++number) {
    FakeRun run;
    run.threads = 1 + number % 4;
    run.lanes = 1 + number % 3;
    run.chunks = 300;
    run.memory_limit = number % 2 == 0 ? "1MiB" : "1GiB";
    run.stages = {jitter("first", 5us), failing_at("second", number)};
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THAT(run.failure(), HasSubstr("cannot digest chunk " + std::to_string(number)));
    EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
  }
}

TEST(Pipeline, ComesBackWithinTwoSecondsWhereverItIsStopped) {
  for (int number = 0; number < 300; ++number) {
    std::stop_source stop;
    std::chrono::steady_clock::time_point asked;
    FakeRun run;
    run.threads = 1 + number % 4;
    run.lanes = 1 + number % 3;
    run.chunks = 300;
    run.stages = {jitter("first", 5us)};
    run.sink.on_batch = [&](std::int64_t index) {
      if (index == number % 150) {
        asked = std::chrono::steady_clock::now();
        stop.request_stop();
      }
    };
    run.go(stop.get_token());
    EXPECT_LT(std::chrono::steady_clock::now() - asked, 2s);
    EXPECT_TRUE(run.summary.stopped);
    EXPECT_FALSE(run.collected.finished);
    const auto expected = NumberSource::sequential(run.lanes, 300);
    ASSERT_LE(run.collected.tokens.size(), expected.size());
    EXPECT_TRUE(
        std::equal(run.collected.tokens.begin(), run.collected.tokens.end(), expected.begin()));
  }
}

TEST(Pipeline, CountsAsDeliveredWhatTheSinkIsFinishedWith) {
  std::stop_source stop;
  FakeRun run;
  run.sink.on_batch = [&](std::int64_t index) {
    if (index == 3) {
      stop.request_stop();
    }
  };
  run.go(stop.get_token());
  const std::int64_t kept = std::ssize(run.collected.tokens);
  EXPECT_EQ(run.summary.delivered_tokens, kept);
  EXPECT_EQ(run.summary.stages.back().tokens, kept);
  EXPECT_LE(run.summary.delivered_tokens, run.summary.tokens.out);
}

TEST(Pipeline, DoesNothingWhenItIsStoppedBeforeItBegins) {
  std::stop_source stop;
  stop.request_stop();
  FakeRun run;
  run.go(stop.get_token());
  EXPECT_TRUE(run.summary.stopped);
  EXPECT_TRUE(run.collected.tokens.empty());
}

TEST(Pipeline, TellsWhatASinkThrew) {
  FakeRun run;
  run.sink.throw_at = 3;
  EXPECT_EQ(run.failure(), "sink 'collect' failed on batch 3: the sink is broken");
}

TEST(Pipeline, TellsHowABatchFailedLater) {
  FakeRun run;
  run.sink.fail_at = 5;
  EXPECT_EQ(run.failure(), "sink 'collect' failed on batch 5: the device is gone");
}

TEST(Pipeline, TellsThatASinkDroppedABatch) {
  FakeRun run;
  run.sink.drop_at = 2;
  EXPECT_EQ(run.failure(),
            "sink 'collect' failed on batch 2: the sink dropped a batch without completing it");
}

TEST(Pipeline, TellsWhatASourceThrew) {
  class BrokenSource final : public Source {
   public:
    int lanes() const override { return 2; }
    std::optional<Chunk> next(int lane, const std::stop_token&) override {
      if (lane == 1 && ++calls_ == 3) {
        throw std::runtime_error("the tape tore");
      }
      return NumberSource::make_chunk(lane, index_[lane]++);
    }

   private:
    int calls_ = 0;
    int index_[2] = {0, 0};
  };
  FakeRun run;
  run.source = [] { return std::make_unique<BrokenSource>(); };
  EXPECT_EQ(run.failure(), "stage 'numbers' failed in lane 1: the tape tore");
}

// Gives ten chunks and then waits for more input until it is told to stop.
class SilentSource final : public Source {
 public:
  int lanes() const override { return 1; }
  std::optional<Chunk> next(int, const std::stop_token& stop) override {
    if (given_ < 10) {
      return NumberSource::make_chunk(0, given_++);
    }
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait(lock, stop, [] { return false; });
    return std::nullopt;
  }

 private:
  int given_ = 0;
};

TEST(Pipeline, EndsAFailedRunAlsoWhileTheSourceWaitsForInput) {
  FakeRun run;
  run.source = [] { return std::make_unique<SilentSource>(); };
  run.stages = {failing_at("picky", 5)};
  EXPECT_THAT(run.failure(), HasSubstr("cannot digest chunk 5"));
}

TEST(Pipeline, EndsARunWhoseSinkFailsAlsoWhileTheSourceWaitsForInput) {
  FakeRun run;
  run.source = [] { return std::make_unique<SilentSource>(); };
  run.sink.fail_at = 0;
  EXPECT_THAT(run.failure(), HasSubstr("the device is gone"));
}

TEST(Pipeline, NamesAStageThatCannotBeMade) {
  StageType lazy = jitter("lazy", 0us);
  lazy.factory = StageFactory([](const StageConfig&, const BuildContext&) -> InstanceFactory {
    return []() -> std::unique_ptr<Stage> { throw std::runtime_error("no room for an instance"); };
  });
  FakeRun run;
  run.threads = 4;
  run.stages = {jitter("first", 0us), lazy};
  EXPECT_EQ(run.failure(), "stage 'lazy' cannot be made: no room for an instance");
}

TEST(Pipeline, JudgesTheRejectsOfAChunkBeforeTheFailureOfALaterStage) {
  FakeRun run;
  run.run_options = "on_error: skip";
  run.stages = {refusing("picky", 10), failing_at("broken", 9)};
  EXPECT_THAT(run.failure(), HasSubstr("cannot digest chunk 9"));
  EXPECT_EQ(run.summary.rejects, 1);
}

TEST(Pipeline, LeavesTheBacklogOfAnInOrderStageWhenItIsStopped) {
  std::stop_source stop;
  int processed = 0;
  FakeRun run;
  run.threads = 2;
  run.chunks = 1000;
  run.stages = {jitter("first", 20us),
                testing::token_stage(
                    "in_order",
                    [&](TokenChunk chunk) {
                      ++processed;
                      stop.request_stop();
                      return chunk;
                    },
                    Ordering::kInOrder)};
  run.go(stop.get_token());
  EXPECT_EQ(processed, 1);
}

TEST(Pipeline, FailsOnTheFirstRejectByDefault) {
  for (const int threads : {1, 8}) {
    FakeRun run;
    run.threads = threads;
    run.stages = {jitter("first", 20us), refusing("picky", 10)};
    EXPECT_THAT(run.failure(),
                HasSubstr("stage 'picky': lane-0, record 10, byte 900: not to my taste"));
  }
}

TEST(Pipeline, SkipsAndCountsRejects) {
  FakeRun run;
  run.run_options = "on_error: skip";
  run.stages = {refusing("picky", 10)};
  run.go();
  EXPECT_EQ(run.summary.rejects, 10);
  EXPECT_EQ(run.summary.records, 100);
  EXPECT_EQ(run.collected.tokens, NumberSource::sequential(1, 100));
}

TEST(Pipeline, EndsARunWithTooManyRejectsAtTheSamePlaceWhateverTheTiming) {
  for (const int threads : {1, 2, 8}) {
    FakeRun run;
    run.threads = threads;
    run.run_options = "on_error: skip\nmax_errors: 3";
    run.stages = {jitter("first", 20us), refusing("picky", 10)};
    EXPECT_THAT(run.failure(), HasSubstr("lane-0, record 40, byte 3900"));
  }
}

TEST(Pipeline, WritesQuarantinedRecordsInStreamOrder) {
  const TemporaryFolder folder;
  const std::string path = folder.path("quarantine.jsonl");
  FakeRun run;
  run.threads = 8;
  run.run_options = "on_error: quarantine\nquarantine: " + path;
  run.stages = {jitter("first", 20us), refusing("picky", 25)};
  run.go();
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
  }
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[1], HasSubstr(R"("record":50)"));
  EXPECT_THAT(lines[1], HasSubstr(R"("stage":"picky")"));
}

TEST(Pipeline, NamesAStageThatLosesRejects) {
  FakeRun run;
  run.run_options = "on_error: skip";
  run.stages = {refusing("picky", 10), testing::token_stage("forgetful", [](TokenChunk chunk) {
                  chunk.rejects.clear();
                  return chunk;
                })};
  EXPECT_THAT(run.failure(), HasSubstr("stage 'forgetful'"));
}

// Each chunk of 64 KiB of tokens; the sink is slower than the source.
class BulkSource final : public Source {
 public:
  explicit BulkSource(int chunks) : chunks_(chunks) {}
  int lanes() const override { return 2; }
  std::optional<Chunk> next(int lane, const std::stop_token&) override {
    if (++given_[lane] > chunks_) {
      return std::nullopt;
    }
    TokenChunk chunk = NumberSource::make_chunk(lane, given_[lane]);
    chunk.ids.assign(16 * 1024, 7);
    chunk.documents = {{16 * 1024, 1, 0}};
    return chunk;
  }

 private:
  const int chunks_;
  int given_[2] = {0, 0};
};

TEST(Pipeline, KeepsTheBytesInFlightWithinTheLimitHoweverLongTheInputIs) {
  constexpr std::int64_t kLimit = 4 << 20;
  constexpr std::int64_t kChunk = 3 * 64 * 1024;  // as it is charged when it is read
  for (const int chunks : {100, 1000}) {
    FakeRun run;
    run.threads = 4;
    run.memory_limit = "4MiB";
    run.source = [chunks] { return std::make_unique<BulkSource>(chunks); };
    run.sink.slowness = 20us;
    run.go();
    EXPECT_EQ(std::ssize(run.collected.tokens), chunks * 2 * 16 * 1024);
    EXPECT_LE(run.summary.peak_in_flight_bytes, kLimit + 2 * kChunk);
    EXPECT_GT(run.summary.peak_in_flight_bytes, kLimit / 4);
  }
}

TEST(Pipeline, RunsOnce) {
  StageRegistry registry;
  registry.add(testing::token_source([] { return std::make_unique<NumberSource>(1, 3); }));
  registry.add(testing::row_assembler(32));
  CollectingSink::Collected collected;
  StageType sink;
  sink.name = "collect";
  sink.input = Payload::kBatch;
  sink.factory = SinkFactory([&](const StageConfig&, const BuildContext&) {
    return std::make_unique<CollectingSink>(CollectingSink::Options(), collected);
  });
  registry.add(sink);
  Pipeline pipeline(parse_config("pipeline: [numbers, rows, collect]", "test.yaml", registry),
                    registry);
  pipeline.run();
  EXPECT_THROW(pipeline.run(), std::logic_error);
}

TEST(Pipeline, DescribesTheGraphThatItBuilds) {
  StageRegistry registry;
  registry.add(testing::token_source([] { return std::make_unique<NumberSource>(2, 3); }));
  registry.add(jitter("first", 0us));
  registry.add(jitter("second", 0us));
  registry.add(testing::row_assembler(32));
  std::vector<std::unique_ptr<Sink>> sinks;
  CollectingSink::Collected collected;
  sinks.push_back(std::make_unique<CollectingSink>(CollectingSink::Options(), collected));
  StageType sink;
  sink.name = "collect";
  sink.input = Payload::kBatch;
  sink.factory = SinkFactory(
      [](const StageConfig&, const BuildContext&) -> std::unique_ptr<Sink> { return nullptr; });
  registry.add(sink);
  const Pipeline pipeline(
      parse_config(
          "{threads: 2, pipeline: [numbers, first, second, rows, collect]}", "test.yaml", registry),
      registry,
      std::move(sinks));
  const GraphDescription graph = pipeline.graph();
  ASSERT_EQ(graph.nodes.size(), 5u);  // two lanes, one fused node, the assembler, the sink
  EXPECT_EQ(graph.nodes[2].label, "up to 2 at a time\nfirst\nsecond");
  EXPECT_EQ(std::count_if(graph.edges.begin(),
                          graph.edges.end(),
                          [](const GraphEdge& edge) { return edge.credit; }),
            4);
}

}  // namespace
}  // namespace penstock
