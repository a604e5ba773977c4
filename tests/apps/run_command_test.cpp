#include "apps/run_command.h"

#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "apps/all_stages.h"
#include "tests/apps/blocked_streams.h"
#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using testing::ExitedWithCode;
using testing::HasSubstr;
using testing::IsEmpty;

// More than the slowest disk needs; nothing waits for its end.
constexpr std::chrono::minutes kLong{5};

// Sends signals to its own process at the first batch and never returns.
class Stuck final : public Sink {
 public:
  explicit Stuck(std::vector<int> signals) : signals_(std::move(signals)) {}

  void consume(std::shared_ptr<const Batch>, Completion) override {
    for (const int signal : signals_) {
      ::kill(::getpid(), signal);
    }
    while (true) {
      ::pause();
    }
  }

 private:
  const std::vector<int> signals_;
};

// Stops its own process at the first batch, which it completes, and is never destroyed to the end.
class StuckInItsDestructor final : public Sink {
 public:
  ~StuckInItsDestructor() override {
    while (true) {
      ::pause();
    }
  }
  void consume(std::shared_ptr<const Batch>, Completion done) override {
    if (!std::exchange(has_sent_, true)) {
      ::kill(::getpid(), SIGINT);
    }
    done.done();
  }

 private:
  bool has_sent_ = false;
};

class RunCommandDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_.path("x.jsonl")) << "{\"text\":\"enough for a row of two tokens\"}\n";
    std::ofstream(folder_.path("config.yaml")) << "threads: 2\n"
                                                  "pipeline:\n"
                                                  "  - read: {paths: '"
                                               << folder_.path("x.jsonl")
                                               << "'}\n"
                                                  "  - parse: {format: jsonl}\n"
                                                  "  - tokenize: {model: '" PENSTOCK_SOURCE_DIR
                                                  "/data/sample/demo_bpe_8k_bytefallback.model'}\n"
                                                  "  - pack: {batch_size: 1, sequence_length: 2}\n"
                                                  "  - stuck: {}\n";
  }

  // Runs a pipeline whose sink sends `signals` and hangs.
  int run_stuck(const std::vector<int>& signals, std::chrono::milliseconds report_grace) const {
    return run_with([signals] { return std::make_unique<Stuck>(signals); }, report_grace);
  }

  int run_with(const std::function<std::unique_ptr<Sink>()>& make_sink,
               std::chrono::milliseconds report_grace) const {
    StageRegistry registry = all_stages();
    StageType type;
    type.name = "stuck";
    type.input = Payload::kBatch;
    type.factory =
        SinkFactory([make_sink](const StageConfig&, const BuildContext&) { return make_sink(); });
    registry.add(std::move(type));
    RunOptions options;
    options.config = read_config(folder_.path("config.yaml"));
    options.summary_path = folder_.path("run.json");
    options.trace_path = folder_.path("trace.json");
    options.quiet = true;
    options.report_grace = report_grace;
    return run_command(options, registry);
  }

  TemporaryFolder folder_;
};

TEST_F(RunCommandDeathTest, EndsTheProcessWhenASinkDoesNotReturn) {
  EXPECT_EXIT(run_stuck({SIGINT}, kLong),
              ExitedWithCode(130),
              "penstock: the run did not stop in time: stage 'stuck' did not return");
  const auto summary = nlohmann::json::parse(read_file(folder_.path("run.json")));
  EXPECT_EQ(summary["status"], "stopped");
  EXPECT_THAT(summary["error"], HasSubstr("stage 'stuck' did not return"));
  const auto trace = nlohmann::json::parse(read_file(folder_.path("trace.json")));
  EXPECT_FALSE(trace["traceEvents"].empty());
}

TEST_F(RunCommandDeathTest, EndsTheProcessWhenASinkCannotBeDestroyed) {
  constexpr std::chrono::milliseconds kShort{1};
  EXPECT_EXIT(run_with([] { return std::make_unique<StuckInItsDestructor>(); }, kShort),
              ExitedWithCode(130),
              "");
}

TEST_F(RunCommandDeathTest, EndsTheProcessAtASecondSignal) {
  EXPECT_EXIT(run_stuck({SIGINT, SIGTERM}, kLong), ExitedWithCode(130), "did not stop in time");
}

TEST_F(RunCommandDeathTest, SaysWhatIsStuckBeforeItWritesTheTrace) {
  UnreadPipe errors(folder_.path("errors"));
  errors.fill();
  const auto run_with_blocked_errors = [&] {
    ::dup2(::open(folder_.path("errors").c_str(), O_WRONLY), STDERR_FILENO);
    run_stuck({SIGINT, SIGTERM}, std::chrono::milliseconds(200));
  };
  EXPECT_EXIT(run_with_blocked_errors(), ExitedWithCode(130), "");
  EXPECT_THAT(read_file(folder_.path("trace.json")), IsEmpty());
}

}  // namespace
}  // namespace penstock
