#include "apps/doctor_command.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// Runs the built `penstock doctor` for as short as makes sense.
class DoctorCommandTest : public testing::Test {
 protected:
  void write_config(const std::string& sink) const {
    const std::string sample = PENSTOCK_SOURCE_DIR "/data/sample/";
    std::ofstream(path("config.yaml")) << "threads: 1\n"
                                          "on_error: quarantine\n"
                                          "quarantine: '"
                                       << path("quarantine.jsonl")
                                       << "'\n"
                                          "pipeline:\n"
                                          "  - read: {paths: '"
                                       << sample
                                       << "*.jsonl.zst', chunk_size: 16KiB}\n"
                                          "  - parse\n"
                                          "  - tokenize: {model: '"
                                       << sample
                                       << "demo_bpe_8k_bytefallback.model'}\n"
                                          "  - pack: {batch_size: 1, sequence_length: 128}\n"
                                       << sink;
  }

  std::string path(const std::string& name) const { return folder_.path(name); }

  Finished doctor(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PENSTOCK_BINARY, "doctor", path("config.yaml")});
    return Subprocess(arguments, folder_.path()).wait();
  }

  TemporaryFolder folder_;
};

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

TEST_F(DoctorCommandTest, FindsADeviceThatIsTheCpu) {
  write_config("  - device: {kind: cpu, stage: lm_score, width: 16, report_every: 1, reports: '" +
               path("reports.jsonl") + "'}\n");
  const Finished run = doctor({"--seconds", "2"});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, StartsWith("What limits: the device, on the CPU\n"));
  EXPECT_FALSE(fs::exists(path("reports.jsonl")));
}

TEST_F(DoctorCommandTest, RefusesAWrongConfiguration) {
  write_config("  - write_npy: {path: 7, x: 8}\n");
  const Finished run = doctor({"--seconds", "1"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("unknown option 'x'"));
}

}  // namespace
}  // namespace penstock
