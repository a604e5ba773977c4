#include "apps/doctor_command.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "pipeline/graph_run.h"
#include "tests/apps/subprocess.h"
#include "tests/stages/compress.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kSample = "paths: '" PENSTOCK_SOURCE_DIR "/data/sample/*.jsonl.zst'";

// Runs the built `penstock doctor` for as short as makes sense.
class DoctorCommandTest : public ::testing::Test {
 protected:
  // `run` are options of the run, `sink` is the last stage.
  void write_config(const std::string& run,
                    const std::string& read,
                    const std::string& sink) const {
    const std::string model = PENSTOCK_SOURCE_DIR "/data/sample/demo_bpe_8k_bytefallback.model";
    std::ofstream(path("config.yaml"))
        << run << "pipeline:\n  - read: {" << read << "}\n  - parse\n  - tokenize: {model: '"
        << model << "'}\n  - pack: {batch_size: 1, sequence_length: 128}\n"
        << sink;
  }

  void write_config(const std::string& sink) const {
    write_config(
        "threads: 1\non_error: quarantine\nquarantine: '" + path("quarantine.jsonl") + "'\n",
        kSample + ", chunk_size: 16KiB",
        sink);
  }

  // A machine that is busy with other things may hide a bottleneck. Doctor says so then. `tried` is
  // the line of a change that has to have been tried.
  void expect_verdict(const std::string& limit, const std::string& tried) const {
    std::string told;
    for (int attempt = 0; attempt < 3; ++attempt) {
      const Finished run = doctor({"--seconds", "2"});
      told = run.output + run.errors;
      if (told.starts_with("What limits: " + limit + '\n') && told.find("Tried: ") != told.npos) {
        EXPECT_THAT(told, ContainsRegex("Tried: [^\n]*\n([^\n]+\n)? {11}" + tried + "\n"));
        return;
      }
    }
    if (told.starts_with("What limits: other programs on this machine\n")) {
      GTEST_SKIP() << "this machine is too busy to find anything else: " << told;
    }
    FAIL() << "not " << limit << ": " << told;
  }

  std::string path(const std::string& name) const { return folder_.path(name); }

  std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }

  Finished doctor(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PENSTOCK_BINARY, "doctor", path("config.yaml")});
    return Subprocess(arguments, folder_.path()).wait();
  }

  TemporaryFolder folder_;
};

std::string letters(int number) {
  std::minstd_rand random;
  std::string text;
  for (int i = 0; i < number; ++i) {
    text += i % 8 == 7 ? ' ' : static_cast<char>('a' + random() % 26);
  }
  return text;
}

// `number` times the same record.
std::string records(const std::string& page, const std::string& text, int number) {
  std::string all;
  for (int i = 0; i < number; ++i) {
    all += R"({"page":")" + page + R"(","text":")" + text + "\"}\n";
  }
  return all;
}

TEST_F(DoctorCommandTest, SaysWhatLimitsAndTouchesNoOutput) {
  write_config("  - write_npy: {path: '" + path("out.npy") + "'}\n");
  const Finished run = doctor({"--seconds", "1"});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.errors, IsEmpty());
  EXPECT_THAT(run.output,
              AllOf(StartsWith("What limits: "),
                    HasSubstr("\n  now: "),
                    HasSubstr("\n  evidence: "),
                    HasSubstr("\n  tokenize ")));
  EXPECT_FALSE(fs::exists(path("out.npy")));
  EXPECT_FALSE(fs::exists(path("quarantine.jsonl")));
}

TEST_F(DoctorCommandTest, FindsProcessorsThatAreNotUsed) {
  if (available_threads() < 2) {
    GTEST_SKIP() << "there is one processor, and one thread uses it";
  }
  write_config("threads: 1\n", kSample, "  - discard\n");
  expect_verdict("too few threads", "threads: " + std::to_string(available_threads()));
}

TEST_F(DoctorCommandTest, FindsTooFewLanes) {
  if (available_threads() < 2) {
    GTEST_SKIP() << "on one processor nothing but its time is narrow";
  }
  // Little text, in a format that takes long to decompress.
  std::ofstream(path("shard.jsonl.gz"), std::ios::binary)
      << testing::gzip(records(letters(100'000), "a few words", 20));
  write_config(
      "threads: 2\n", "paths: '" + path("shard.jsonl.gz") + "', lanes: 1", "  - discard\n");
  expect_verdict("too few lanes", "read: [{]lanes: [0-9]+[}]");
}

TEST_F(DoctorCommandTest, FindsAMemoryLimitThatIsTooLow) {
  if (available_threads() < 2) {
    GTEST_SKIP() << "chunks that are not in flight keep no second processor idle";
  }
  fs::create_directory(path("shards"));
  for (const char* name :
       {"shards/0.jsonl", "shards/1.jsonl", "shards/2.jsonl", "shards/3.jsonl"}) {
    std::ofstream(path(name)) << records("", letters(4000), 1000);
  }
  write_config("threads: 2\nmemory_limit: 1MiB\n",
               "paths: '" + path("shards") + "', chunk_size: 512KiB",
               "  - discard\n");
  expect_verdict("memory_limit", "memory_limit: [0-9]+MiB");
}

TEST_F(DoctorCommandTest, FindsADeviceThatIsTheCpu) {
  write_config("  - device: {kind: cpu, stage: lm_score, width: 16, report_every: 1, reports: '" +
               path("reports.jsonl") + "'}\n");
  const Finished run = doctor({"--seconds", "2"});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, StartsWith("What limits: the device, on the CPU\n"));
  EXPECT_FALSE(fs::exists(path("reports.jsonl")));
}

TEST_F(DoctorCommandTest, LeavesAloneWhatAnEarlierTrainingWrote) {
  write_config(
      "  - device: {kind: cpu, stage: lm_train, width: 16, heads: 1, layers: 1,\n"
      "      eval_paths: '" PENSTOCK_SOURCE_DIR
      "/data/sample/sample_01.jsonl.zst',\n"
      "      eval_batches: 1, eval_every: 1, sample_every: 1, samples: '" +
      path("samples.jsonl") + "',\n      report_every: 1, reports: '" + path("reports.jsonl") +
      "', save_weights: '" + path("weights.safetensors") + "'}\ncheckpoint_folder: '" +
      path("checkpoints") + "'\ncheckpoint_every: 1\nrun_folder: '" + path("run") + "'\n");
  const std::vector<std::string> written = {
      "samples.jsonl", "reports.jsonl", "weights.safetensors", "quarantine.jsonl"};
  for (const std::string& name : written) {
    std::ofstream(path(name)) << "written earlier";
  }
  const Finished run = doctor({"--seconds", "4"});
  ASSERT_EQ(run.status, 0) << run.errors;
  for (const std::string& name : written) {
    EXPECT_EQ(content(name), "written earlier") << name;
  }
  EXPECT_FALSE(fs::exists(path("checkpoints")));
  EXPECT_FALSE(fs::exists(path("run")));
}

TEST_F(DoctorCommandTest, RefusesAWrongConfiguration) {
  write_config("  - write_npy: {path: 7, x: 8}\n");
  const Finished run = doctor({"--seconds", "1"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("unknown option 'x'"));
}

}  // namespace
}  // namespace penstock
