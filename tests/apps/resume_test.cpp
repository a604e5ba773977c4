#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "pipeline/checkpoint_folder.h"
#include "tests/apps/subprocess.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// `penstock run` in processes of their own, which read JSON lines from standard input.
class ResumedRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Some of read's steps of 128 KiB, which it waits for from a pipe too.
    for (int i = 0; i < 20'000; ++i) {
      text_ += R"({"text": "number )" + std::to_string(i * 7919 % 10'007) + " of many\"}\n";
    }
    std::ofstream(folder_.path("config.yaml"))
        << "threads: 2\n"
           "checkpoint_folder: "
        << checkpoints()
        << "\n"
           "checkpoint_every: 3\n"
           "pipeline:\n"
           "  - read: {paths: '-', chunk_size: 4KiB}\n"
           "  - parse\n"
           "  - tokenize: {model: '" PENSTOCK_SOURCE_DIR
           "/data/sample/demo_bpe_8k_bytefallback.model'}\n"
           "  - pack: {batch_size: 4, sequence_length: 64, shifted_targets: true}\n"
           "  - device: {kind: cpu}\n";
  }

  std::string checkpoints() const { return folder_.path("checkpoints"); }

  Subprocess start(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {
        PENSTOCK_BINARY, "run", folder_.path("config.yaml"), "--summary", "-"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return {command, folder_.path()};
  }

  Finished run(const std::vector<std::string>& arguments) const {
    Subprocess process = start(arguments);
    process.write(text_);
    return process.wait();
  }

  // Returns whether there is one within a minute.
  bool wait_for_checkpoint() const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!std::filesystem::exists(checkpoints()) || list_checkpoints(checkpoints()).empty()) {
      if (std::chrono::steady_clock::now() > deadline) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }

  TemporaryFolder folder_;
  std::string text_;
};

TEST_F(ResumedRunTest, AfterAKillGivesWhatTheWholeRunGives) {
  const Finished whole = run({"--set", "checkpoint_folder=none"});
  ASSERT_EQ(whole.status, 0) << whole.errors;
  {
    Subprocess killed = start({});
    killed.write(std::string_view(text_).substr(0, text_.size() / 2));
    ASSERT_TRUE(wait_for_checkpoint());
    killed.send(SIGKILL);
    EXPECT_EQ(killed.wait().status, -SIGKILL);
  }
  const std::int64_t next_batch = latest_checkpoint(checkpoints()).point.position.next_batch;
  EXPECT_GE(next_batch, 3);

  const Finished resumed = run({"--resume", "latest"});
  ASSERT_EQ(resumed.status, 0) << resumed.errors;
  const auto expected = nlohmann::json::parse(whole.output);
  const auto summary = nlohmann::json::parse(resumed.output);
  EXPECT_EQ(summary.at("resumed").at("next_batch"), next_batch);
  for (const char* key : {"sinks", "batches", "documents", "tokens"}) {
    EXPECT_EQ(summary.at(key), expected.at(key)) << key;
  }
  EXPECT_EQ(summary.at("input").at("records"), expected.at("input").at("records"));
  EXPECT_GE(summary.at("checkpoints").at("written"), 1);
}

TEST_F(ResumedRunTest, PassesOverADamagedCheckpoint) {
  const Finished whole = run({});
  ASSERT_EQ(whole.status, 0) << whole.errors;
  const auto made = list_checkpoints(checkpoints());
  ASSERT_FALSE(made.empty());
  for (std::size_t i = 1; i < made.size(); ++i) {
    std::filesystem::remove_all(checkpoints() + "/" + made[i].second);
  }
  const std::int64_t next_batch = made.front().first;
  const std::string damaged = checkpoints() + "/" + checkpoint_name(next_batch + 3);
  std::filesystem::copy(
      checkpoints() + "/" + made.front().second, damaged, std::filesystem::copy_options::recursive);
  std::filesystem::resize_file(damaged + "/device/checksum.json", 3);

  const Finished resumed = run({"--resume", "latest", "--set", "checkpoint_keep=1000"});
  ASSERT_EQ(resumed.status, 0) << resumed.errors;
  EXPECT_THAT(resumed.errors,
              AllOf(HasSubstr("warning: the checkpoint '" + damaged + "' cannot be used: '" +
                              damaged + "/device/checksum.json' is damaged"),
                    HasSubstr("it is now '" + damaged + ".damaged'")));
  const auto summary = nlohmann::json::parse(resumed.output);
  EXPECT_EQ(summary.at("resumed").at("next_batch"), next_batch);
  EXPECT_EQ(summary.at("sinks"), nlohmann::json::parse(whole.output).at("sinks"));
  EXPECT_EQ(read_checkpoint(damaged).position.next_batch, next_batch + 3);  // a new one
}

// Trains on few batches in a process of its own, and reads back what its run folder tells.
class ResumedTrainingTest : public ResumedRunTest {
 protected:
  void SetUp() override {
    ResumedRunTest::SetUp();
    text_.resize(text_.find('\n', text_.size() / 100) + 1);
    std::ofstream(folder_.path("config.yaml"))
        << "checkpoint_folder: " << checkpoints()
        << "\n"
           "checkpoint_every: 3\n"
           "checkpoint_keep: 1000\n"
           "pipeline:\n"
           "  - read: {paths: '-'}\n"
           "  - parse\n"
           "  - tokenize_bytes\n"
           "  - pack: {batch_size: 4, sequence_length: 64, shifted_targets: true}\n"
           "  - device: {kind: cpu, stage: lm_train, width: 8, layers: 1, heads: 1, accumulate: 2,"
           " report_every: 1}\n";
  }

  std::vector<nlohmann::json> history(const std::string& run_folder,
                                      const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--run-folder", folder_.path(run_folder)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.status, 0) << finished.errors;
    std::vector<nlohmann::json> rows;
    for (const auto& row :
         nlohmann::json::parse(std::ifstream(folder_.path(run_folder) + "/metrics_history.json"))) {
      rows.push_back({row.at("step"), row.at("tokens"), row.at("loss"), row.at("learning_rate")});
    }
    return rows;
  }

  // Of one that is there.
  std::string checkpoint(std::size_t number) const {
    return checkpoints() + "/" + list_checkpoints(checkpoints()).at(number).second;
  }
};

TEST_F(ResumedTrainingTest, TrainsAsIfNothingHadHappened) {
  const auto whole = history("whole", {"--set", "checkpoint_folder=none"});
  EXPECT_GT(whole.size(), 10U);
  EXPECT_EQ(history("resumed", {}), whole);
  EXPECT_EQ(
      history("resumed",
              {"--resume", checkpoint(0), "--set", "checkpoint_folder=" + folder_.path("others")}),
      whole);
}

// The first row behind an odd batch covers one batch instead of two.
TEST_F(ResumedTrainingTest, ReportsOnTheSameBatches) {
  const std::vector<std::string> every_second = {"--set", "device.report_every=2"};
  const auto whole = history("whole", every_second);
  ASSERT_EQ(latest_checkpoint(checkpoints()).warnings.size(), 0U);
  const auto [next_batch, name] = list_checkpoints(checkpoints()).front();
  ASSERT_EQ(next_batch % 2, 1);
  const std::int64_t row = next_batch / 2;
  const auto resumed = history("whole",
                               {"--set",
                                "device.report_every=2",
                                "--set",
                                "checkpoint_folder=" + folder_.path("others"),
                                "--resume",
                                checkpoints() + "/" + name});
  ASSERT_EQ(resumed.size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(resumed[i][0], whole[i][0]) << i;
    EXPECT_EQ(resumed[i][1], whole[i][1]) << i;
    EXPECT_TRUE(static_cast<std::int64_t>(i) == row || resumed[i] == whole[i]) << i;
  }
}

TEST_F(ResumedTrainingTest, RefusesAnotherTraining) {
  ASSERT_EQ(run({}).status, 0);
  const auto error_of = [&](const std::string& set) {
    const Finished finished = start({"--resume", "latest", "--set", set}).wait();
    EXPECT_EQ(finished.status, 2) << finished.errors;
    return finished.errors;
  };
  EXPECT_THAT(error_of("device.heads=4"), HasSubstr("heads was 1 and is 4 now"));
  EXPECT_THAT(error_of("device.accumulate=4"), HasSubstr("accumulate was 2 and is 4 now"));
}

TEST_F(ResumedTrainingTest, GoesOnWhereWeightsFindNoRoomOnTheDisk) {
  const std::string width = "device.width=32";  // weights of more than 32 KiB
  ASSERT_EQ(run({"--set", width}).status, 0);
  const auto made = list_checkpoints(checkpoints());
  for (std::size_t i = 1; i < made.size(); ++i) {
    std::filesystem::remove_all(checkpoints() + "/" + made[i].second);
  }
  Finished resumed;
  {
    const FileSizeLimit limit(16 << 10);
    resumed = run({"--resume", "latest", "--set", width});
  }
  ASSERT_EQ(resumed.status, 0) << resumed.errors;
  EXPECT_THAT(resumed.errors,
              AllOf(HasSubstr("warning: the checkpoint 'batch-"),
                    HasSubstr("model.safetensors"),
                    HasSubstr("File too large")));
  const auto counts = nlohmann::json::parse(resumed.output).at("checkpoints");
  EXPECT_EQ(counts.at("written"), 0);
  EXPECT_GE(counts.at("failed"), 1);
  EXPECT_EQ(latest_checkpoint(checkpoints()).point.position.next_batch, made.front().first);
  EXPECT_EQ(list_checkpoints(checkpoints()).size(), 1U);
  EXPECT_EQ(run({"--resume", "latest", "--set", width}).status, 0);
  EXPECT_GT(list_checkpoints(checkpoints()).size(), 1U);
}

TEST_F(ResumedRunTest, NamesTheLastCheckpointWhereItFails) {
  text_ += "no JSON\n";
  const Finished failed = run({});
  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(failed.errors,
              HasSubstr("; the last checkpoint is '" +
                        latest_checkpoint(checkpoints()).point.folder + "'"));
  EXPECT_THAT(run({"--set",
                   "checkpoint_every=1000000",
                   "--set",
                   "checkpoint_folder=" + folder_.path("none")})
                  .errors,
              HasSubstr("; there is no checkpoint to go on from"));
}

TEST_F(ResumedRunTest, SaysWhyItCannotGoOn) {
  const auto error_of = [&](const std::vector<std::string>& arguments) {
    const Finished finished = start(arguments).wait();
    EXPECT_EQ(finished.status, 2);
    return finished.errors;
  };
  EXPECT_THAT(error_of({"--resume", "latest"}),
              HasSubstr("cannot read the folder of checkpoints '" + checkpoints() + "'"));
  EXPECT_THAT(error_of({"--resume", "latest", "--set", "checkpoint_folder=none"}),
              HasSubstr("'--resume latest' takes the last checkpoint in checkpoint_folder"));
  ASSERT_EQ(run({}).status, 0);
  EXPECT_THAT(error_of({}), HasSubstr("go on with it (--resume latest), or name another folder"));
  EXPECT_THAT(error_of({"--resume", "latest", "--set", "pack.batch_size=5"}),
              HasSubstr("the run would not be the same: pack.batch_size was 4 and is 5 now"));
}

}  // namespace
}  // namespace penstock
