#include "apps/bench_command.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::string kSample = PENSTOCK_SOURCE_DIR "/data/sample/";
const std::string kBad = PENSTOCK_SOURCE_DIR "/tests/data/bad/";

TEST(BenchThreads, DoubleUpToTheProcessors) {
  EXPECT_THAT(thread_counts(1), ElementsAre(1));
  EXPECT_THAT(thread_counts(2), ElementsAre(1, 2));
  EXPECT_THAT(thread_counts(6), ElementsAre(1, 2, 4, 6));
  EXPECT_THAT(thread_counts(8), ElementsAre(1, 2, 4, 8));
}

// Runs the built `penstock bench` on as little as makes sense.
class BenchCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(path("config.yaml")) << "on_error: quarantine\n"
                                          "quarantine: '"
                                       << path("quarantine.jsonl")
                                       << "'\n"
                                          "max_errors: 1\n"
                                          "pipeline:\n"
                                          "  - read: {paths: '"
                                       << kSample
                                       << "*.jsonl.zst', chunk_size: 4KiB}\n"
                                          "  - parse\n"
                                          "  - tokenize: {model: '"
                                       << kSample
                                       << "demo_bpe_8k_bytefallback.model'}\n"
                                          "  - pack: {batch_size: 4, sequence_length: 128}\n"
                                          "  - write_npy: {path: '"
                                       << path("out.npy") << "'}\n";
  }

  std::string path(const std::string& name) const { return folder_.path(name); }

  std::vector<std::string> command(const std::vector<std::string>& arguments) const {
    std::vector<std::string> all = {PENSTOCK_BINARY, "bench", path("config.yaml")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

  Finished bench(const std::vector<std::string>& arguments) const {
    return Subprocess(command(arguments), folder_.path()).wait();
  }

  Finished small_bench(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(),
                     {"--seconds", "0.5", "--capture", "64KiB", "--repetitions", "2"});
    return bench(arguments);
  }

  TemporaryFolder folder_;
};

TEST_F(BenchCommandTest, TellsHowFastStagesAndPipelineAre) {
  const Finished run = small_bench({"--threads", "2,1,2", "--json", path("bench.json")});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.errors, IsEmpty());
  EXPECT_THAT(run.output, AllOf(StartsWith("Measured on "), HasSubstr("\n  verdict: ")));
  const nlohmann::json json = nlohmann::json::parse(read_file(path("bench.json")));
  std::vector<std::string> names;
  double core_share = 0;
  for (const auto& stage : json["stages"]) {
    names.push_back(stage["name"]);
    core_share += stage["core_share"].get<double>();
  }
  EXPECT_THAT(names, ElementsAre("read", "decompress", "parse", "tokenize", "pack"));
  EXPECT_NEAR(core_share, 1, 1e-9);
  ASSERT_EQ(json["runs"].size(), 2U);
  EXPECT_EQ(json["runs"][0]["threads"], 1);
  EXPECT_EQ(json["runs"][1]["threads"], 2);
  EXPECT_GT(json["runs"][1]["text_bytes_per_second"]["median"], 0);
  EXPECT_GT(json["runs"][0]["peak_resident_bytes"], 0);
  EXPECT_GT(json["sample"]["timed_tokens"], 0);
  EXPECT_LE(json["rounds"], 2);
}

TEST_F(BenchCommandTest, TouchesNoConfiguredOutput) {
  ASSERT_EQ(small_bench({"--threads", "1"}).status, 0);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    files.push_back(entry.path().extension());
  }
  EXPECT_THAT(files, testing::Not(testing::Contains(".npy")));
  EXPECT_FALSE(fs::exists(path("quarantine.jsonl")));
}

TEST_F(BenchCommandTest, PrintsJsonInsteadOfTheText) {
  const Finished run = small_bench({"--threads", "1", "--json", "-"});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_EQ(nlohmann::json::parse(run.output)["runs"][0]["threads"], 1);
}

TEST_F(BenchCommandTest, PassesBadRecordsOverHoweverOftenTheyComeAgain) {
  const Finished run =
      small_bench({"--threads", "1", "--set", "read.paths=" + kBad + "json_bad_escape.jsonl.zst"});
  EXPECT_EQ(run.status, 0) << run.errors;
}

TEST_F(BenchCommandTest, FailsOnABadRecordAsARunDoes) {
  const Finished run = small_bench({"--threads",
                                    "1",
                                    "--set",
                                    "on_error=fail",
                                    "--set",
                                    "read.paths=" + kBad + "json_bad_escape.jsonl.zst",
                                    "--json",
                                    path("bench.json")});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.output, IsEmpty());
  EXPECT_THAT(run.errors, HasSubstr("json_bad_escape.jsonl.zst, record "));
  EXPECT_FALSE(fs::exists(path("bench.json")));
}

TEST_F(BenchCommandTest, FailsWhereThereIsNoText) {
  std::ofstream(path("blank.jsonl")) << "\n\n";
  const Finished run =
      small_bench({"--threads", "1", "--set", "read.paths=" + path("blank.jsonl")});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("the input holds no text"));
}

TEST_F(BenchCommandTest, FailsOnInputThatCanBeReadOnce) {
  Subprocess process(command({"--threads", "1", "--set", "read.paths=-"}), folder_.path());
  process.write("{\"text\":\"first\"}\n{\"text\":\"second\"}\n");
  const Finished run = process.wait();
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("it has to be in files"));
}

TEST_F(BenchCommandTest, StopsOnCtrlC) {
  Subprocess process(command({"--threads", "1", "--set", "read.paths=-"}), folder_.path());
  // Far more than a pipe holds: when it is written, the first run has begun to read.
  for (int line = 0; line < 10'000; ++line) {
    process.write("{\"text\":\"The quick brown fox jumps over the lazy dog.\"}\n");
  }
  process.send(SIGINT);
  const Finished run = process.wait(true);
  EXPECT_EQ(run.status, 130);
  EXPECT_THAT(run.output, IsEmpty());
}

TEST_F(BenchCommandTest, RefusesWrongArguments) {
  const std::vector<std::vector<std::string>> wrong = {{"--threads", "0"},
                                                       {"--threads", "1,two"},
                                                       {"--repetitions", "0"},
                                                       {"--seconds", "0"},
                                                       {"--capture", "0"},
                                                       {"--capture", "64 parsecs"},
                                                       {"--json", ""},
                                                       {"--set", "tokenize.model=missing.model"}};
  for (const std::vector<std::string>& arguments : wrong) {
    const Finished run = bench(arguments);
    EXPECT_EQ(run.status, 2) << arguments[0] << ' ' << arguments[1];
    EXPECT_THAT(run.errors, testing::Not(IsEmpty()));
    EXPECT_THAT(run.output, IsEmpty());
  }
}

TEST_F(BenchCommandTest, FailsWhereItCannotWriteTheFigures) {
  const std::string script =
      "exec '" PENSTOCK_BINARY "' bench '" + path("config.yaml") +
      "' --threads 1 --seconds 0.2 --capture 8KiB --repetitions 1 >/dev/full";
  const Finished run = Subprocess({"/bin/sh", "-c", script}, folder_.path()).wait();
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("No space left on device"));
}

TEST_F(BenchCommandTest, RefusesToWriteOverItsConfiguration) {
  const Finished run = bench({"--json", path("config.yaml")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, StartsWith("penstock: the JSON file "));
}

}  // namespace
}  // namespace penstock
