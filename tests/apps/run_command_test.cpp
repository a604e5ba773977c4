#include "apps/run_command.h"

#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "apps/all_stages.h"
#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using testing::ExitedWithCode;
using testing::HasSubstr;

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
  int run_stuck(const std::vector<int>& signals) const {
    StageRegistry registry = all_stages();
    StageType type;
    type.name = "stuck";
    type.input = Payload::kBatch;
    type.factory = SinkFactory([signals](const StageConfig&, const BuildContext&) {
      return std::make_unique<Stuck>(signals);
    });
    registry.add(std::move(type));
    RunOptions options;
    options.config_path = folder_.path("config.yaml");
    options.summary_path = folder_.path("run.json");
    options.trace_path = folder_.path("trace.json");
    options.quiet = true;
    return run_command(options, registry);
  }

  TemporaryFolder folder_;
};

TEST_F(RunCommandDeathTest, EndsTheProcessWhenASinkDoesNotReturn) {
  EXPECT_EXIT(run_stuck({SIGINT}),
              ExitedWithCode(130),
              "penstock: the run did not stop in time: stage 'stuck' did not return");
  const auto summary = nlohmann::json::parse(read_file(folder_.path("run.json")));
  EXPECT_EQ(summary["status"], "stopped");
  EXPECT_THAT(summary["error"], HasSubstr("stage 'stuck' did not return"));
  const auto trace = nlohmann::json::parse(read_file(folder_.path("trace.json")));
  EXPECT_FALSE(trace["traceEvents"].empty());
}

TEST_F(RunCommandDeathTest, EndsTheProcessAtASecondSignal) {
  EXPECT_EXIT(run_stuck({SIGINT, SIGTERM}), ExitedWithCode(130), "did not stop in time");
}

}  // namespace
}  // namespace penstock
