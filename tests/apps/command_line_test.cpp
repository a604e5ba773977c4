// Runs the built `penstock` command.

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/apps/blocked_streams.h"
#include "tests/apps/subprocess.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

const std::string kPenstock = "'" PENSTOCK_BINARY "'";
const std::string kSample = PENSTOCK_SOURCE_DIR "/data/sample/";
const std::string kBad = PENSTOCK_SOURCE_DIR "/tests/data/bad/";

class CommandLineTest : public testing::Test {
 protected:
  void SetUp() override { write_config("config.yaml", "'" + kSample + "*.jsonl.zst'"); }

  void write_config(const std::string& name, const std::string& paths) const {
    std::ofstream(path(name)) << "threads: 2\n"
                                 "pipeline:\n"
                                 "  - read: {paths: "
                              << paths
                              << "}\n"
                                 "  - parse: {format: jsonl, text: text}\n"
                                 "  - tokenize: {model: '"
                              << kSample
                              << "demo_bpe_8k_bytefallback.model'}\n"
                                 "  - pack: {batch_size: 4, sequence_length: 128}\n"
                                 "  - write_npy: {path: '"
                              << path("out.npy") << "'}\n";
  }

  // Writes a configuration with these lines in the place of its sink.
  void write_config_with_sinks(const std::string& name, const std::string& sinks) const {
    write_config(name, "'" + kSample + "*.jsonl.zst'");
    const std::string config = read_file(path(name));
    std::ofstream(path(name)) << config.substr(0, config.find("  - write_npy")) << sinks;
  }

  std::string path(const std::string& name) const { return folder_.path(name); }

  std::vector<std::string> command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), PENSTOCK_BINARY);
    return arguments;
  }

  Finished penstock(std::vector<std::string> arguments) const {
    return Subprocess(command(std::move(arguments)), folder_.path()).wait();
  }

  Subprocess start_shell(const std::string& script) const {
    return Subprocess({"/bin/sh", "-c", script}, folder_.path());
  }

  Finished shell(const std::string& script) const { return start_shell(script).wait(); }

  // Far more than a pipe holds: when it is written, the run has begun to read.
  static void write_text(Subprocess& process) {
    for (int line = 0; line < 10'000; ++line) {
      process.write("{\"text\":\"The quick brown fox jumps over the lazy dog.\"}\n");
    }
  }

  static void expect_soon_gone(Subprocess& process, const std::vector<int>& signals, int status) {
    const auto start = std::chrono::steady_clock::now();
    for (const int signal : signals) {
      process.send(signal);
    }
    EXPECT_EQ(process.wait(true).status, status);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  }

  nlohmann::json summary() const { return nlohmann::json::parse(read_file(path("run.json"))); }

  nlohmann::json trace() const { return nlohmann::json::parse(read_file(path("trace.json"))); }

  TemporaryFolder folder_;
};

TEST_F(CommandLineTest, RunsAPipelineAndPrintsASummary) {
  const Finished run = penstock({"run", path("config.yaml")});
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.errors, IsEmpty());
  EXPECT_THAT(run.output, StartsWith("Finished in "));
  EXPECT_THAT(run.output, HasSubstr("1,038 records"));
  EXPECT_THAT(run.output, HasSubstr("\n  limit: "));
  EXPECT_THAT(run.output, HasSubstr("\n  write_npy\n"));
  EXPECT_TRUE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, WritesTheSummaryAsJson) {
  const Finished run = penstock({"run", path("config.yaml"), "--summary", path("run.json")});
  ASSERT_EQ(run.status, 0) << run.errors;
  const nlohmann::json json = summary();
  EXPECT_EQ(json["status"], "finished");
  EXPECT_EQ(json["error"], nullptr);
  EXPECT_EQ(json["config"], path("config.yaml"));
  EXPECT_EQ(json["input"]["records"], 1038);
  EXPECT_EQ(json["input"]["bytes"], json["input"]["total_bytes"]);
  EXPECT_EQ(json["documents"], 1038);
  EXPECT_EQ(json["threads"], 2);
  const auto& tokens = json["tokens"];
  EXPECT_GT(tokens["in"], 100'000);
  EXPECT_EQ(tokens["in"].get<int>(), tokens["packed"].get<int>() + tokens["dropped"].get<int>());
  EXPECT_EQ(json["stages"].front()["name"], "read");
  EXPECT_EQ(json["stages"].back()["name"], "write_npy");
  EXPECT_EQ(json["sinks"][0]["name"], "write_npy");
}

TEST_F(CommandLineTest, KeepsTheHistoryOfARunInAFolder) {
  const Finished run =
      penstock({"run", path("config.yaml"), "--set", "run_folder=" + path("runs/first")});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.errors, IsEmpty());
  const auto rows = nlohmann::json::parse(read_file(path("runs/first/metrics_history.json")));
  ASSERT_FALSE(rows.empty());
  EXPECT_GT(rows.back()["tokens"], 100'000);
  const auto stretches =
      nlohmann::json::parse(read_file(path("runs/first/occupancy_history.json")));
  EXPECT_EQ(stretches.back()["stages"].front()["name"], "read");
  const auto end = nlohmann::json::parse(read_file(path("runs/first/summary.json")));
  EXPECT_EQ(end["status"], "finished");
  EXPECT_THAT(read_file(path("runs/first/report.html")), HasSubstr("\"status\":\"finished\""));
  fs::remove(path("runs/first/report.html"));
  const Finished report = penstock({"report", path("runs/first")});
  EXPECT_EQ(report.status, 0) << report.errors;
  EXPECT_EQ(report.output, "Wrote " + path("runs/first/report.html") + "\n");
  EXPECT_THAT(read_file(path("runs/first/report.html")), HasSubstr("</html>"));
}

TEST_F(CommandLineTest, WritesTheReportOfARunThatFails) {
  write_config("bad.yaml", kBad + "json_bad_escape.jsonl.zst");
  const Finished run = penstock({"run", path("bad.yaml"), "--run-folder", path("run")});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(read_file(path("run/report.html")), HasSubstr("\"status\":\"failed\""));
}

TEST_F(CommandLineTest, DrawsTheChartsOfARun) {
  ASSERT_EQ(penstock({"run", path("config.yaml"), "--run-folder", path("run")}).status, 0);
  const Finished plot = penstock({"plot", path("run")});
  EXPECT_EQ(plot.status, 0) << plot.errors;
  EXPECT_THAT(plot.output, StartsWith(path("run/plots/throughput.png") + "\n"));
  EXPECT_TRUE(fs::exists(path("run/plots/time_line.png")));
  const Finished nothing = penstock({"plot", path("nowhere")});
  EXPECT_EQ(nothing.status, 2);
  EXPECT_THAT(nothing.errors, HasSubstr("there is nothing to draw"));
}

TEST_F(CommandLineTest, ShowsARunThatGoesOn) {
  Subprocess process(command({"run", path("config.yaml"), "--set", "read.paths=-", "--serve", "0"}),
                     folder_.path());
  write_text(process);
  const Finished run = process.wait();
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.errors, MatchesRegex("See the run at http://127.0.0.1:[0-9]+/\n"));
}

TEST_F(CommandLineTest, RefusesAnAddressThatItCannotServe) {
  const Finished foreign = penstock({"run", path("config.yaml"), "--serve", "192.0.2.1:80"});
  EXPECT_EQ(foreign.status, 2);
  EXPECT_THAT(foreign.errors, StartsWith("--serve 192.0.2.1:80: cannot listen on 192.0.2.1:80: "));
  EXPECT_FALSE(fs::exists(path("out.npy")));
  const Finished nonsense = penstock({"run", path("config.yaml"), "--serve", "nonsense"});
  EXPECT_EQ(nonsense.status, 2);
  EXPECT_THAT(nonsense.errors, HasSubstr("expected PORT or ADDRESS:PORT"));
}

TEST_F(CommandLineTest, RefusesToReportWhatIsNoRun) {
  const Finished report = penstock({"report", path("nowhere")});
  EXPECT_EQ(report.status, 2);
  EXPECT_THAT(report.errors, HasSubstr("nowhere' is not the folder of a run"));
}

TEST_F(CommandLineTest, KeepsWhatADeviceStageReports) {
  std::ofstream(path("score.yaml")) << "pipeline:\n"
                                       "  - read: {paths: '" PENSTOCK_SOURCE_DIR
                                       "/data/short/*.jsonl.zst'}\n"
                                       "  - parse\n"
                                       "  - tokenize: {model: '" PENSTOCK_SOURCE_DIR
                                       "/data/sample/demo_bpe_8k_bytefallback.model'}\n"
                                       "  - pack: {batch_size: 8, sequence_length: 64}\n"
                                       "  - device: {kind: cpu, stage: lm_score, width: 16,\n"
                                       "             report_every: 2}\n";
  const Finished run =
      penstock({"run", path("score.yaml"), "--run-folder", path("run"), "--quiet"});
  ASSERT_EQ(run.status, 0) << run.errors;
  const auto rows = nlohmann::json::parse(read_file(path("run/metrics_history.json")));
  ASSERT_GE(rows.size(), 2U);
  EXPECT_EQ(rows[0]["step"], 2);
  EXPECT_EQ(rows[1]["step"], 4);
  EXPECT_EQ(rows[1]["tokens"], 4 * 8 * 64);
  EXPECT_GT(rows[1]["loss"], 1);
}

TEST_F(CommandLineTest, SaysWhyAFolderCannotBeThatOfARun) {
  std::ofstream(path("file")) << "x";
  const Finished run = penstock({"run", path("config.yaml"), "--run-folder", path("file")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("cannot make the run folder '" + path("file") + "': "));
  fs::create_directory(path("run"));
  const Finished output = penstock({"run",
                                    path("config.yaml"),
                                    "--run-folder",
                                    path("run"),
                                    "--set",
                                    "write_npy.path=" + path("run/summary.json")});
  EXPECT_EQ(output.status, 2);
  EXPECT_THAT(output.errors, HasSubstr("the run folder's '" + path("run/summary.json") + "'"));
}

TEST_F(CommandLineTest, PrintsNothingWhenQuiet) {
  const Finished run = penstock({"run", path("config.yaml"), "--quiet"});
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.output, IsEmpty());
  EXPECT_THAT(run.errors, IsEmpty());
}

TEST_F(CommandLineTest, ReplacesOptionsFromTheCommandLine) {
  const Finished run = penstock({"run",
                                 "--set",
                                 "threads=1",
                                 "--set",
                                 "write_npy.path=" + path("other.npy"),
                                 path("config.yaml"),
                                 "--summary",
                                 path("run.json")});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_EQ(summary()["threads"], 1);
  EXPECT_TRUE(fs::exists(path("other.npy")));
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, ReadsStandardInput) {
  Subprocess process(command({"run", path("config.yaml"), "--set", "read.paths=-"}),
                     folder_.path());
  process.write("{\"text\":\"first\"}\n{\"text\":\"second\"}\n");
  const Finished run = process.wait();
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("2 records"));
}

TEST_F(CommandLineTest, SaysClearlyThatThereWereNoDocuments) {
  Subprocess process(command({"run", path("config.yaml"), "--set", "read.paths=-"}),
                     folder_.path());
  process.write("\n");
  const Finished run = process.wait();
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("no documents"));
}

TEST_F(CommandLineTest, FailsOnABadRecordAndSaysWhere) {
  write_config("bad.yaml", kBad + "json_bad_escape.jsonl.zst");
  const Finished run = penstock({"run", path("bad.yaml"), "--summary", path("run.json")});
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.output, StartsWith("Failed after "));
  EXPECT_THAT(run.errors,
              AllOf(StartsWith("penstock: "),
                    HasSubstr("json_bad_escape.jsonl.zst"),
                    HasSubstr("record "),
                    HasSubstr("byte ")));
  EXPECT_FALSE(fs::exists(path("out.npy")));
  EXPECT_EQ(summary()["status"], "failed");
  EXPECT_THAT(summary()["error"], HasSubstr("json_bad_escape.jsonl.zst"));
}

TEST_F(CommandLineTest, RefusesAMissingInputBeforeAnyWork) {
  const Finished run =
      penstock({"run", path("config.yaml"), "--set", "read.paths=" + path("missing.jsonl")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("missing.jsonl"));
  EXPECT_THAT(run.output, IsEmpty());
}

TEST_F(CommandLineTest, RefusesAMissingConfiguration) {
  const Finished run = penstock({"run", path("missing.yaml")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("missing.yaml"));
}

TEST_F(CommandLineTest, RefusesAnUnwritableSummaryBeforeAnyWork) {
  const Finished run =
      penstock({"run", path("config.yaml"), "--summary", path("no_folder/run.json")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("no_folder/run.json"));
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, PrintsTheJsonInsteadOfTheText) {
  const Finished run = shell("cd '" + folder_.path() + "'; exec " + kPenstock + " run '" +
                             path("config.yaml") + "' --summary -");
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_EQ(nlohmann::json::parse(run.output)["status"], "finished");
  EXPECT_FALSE(fs::exists(path("-")));
}

TEST_F(CommandLineTest, RefusesASummaryInThePlaceOfAnInput) {
  fs::copy(kSample + "sample_00.jsonl.zst", path("shard.jsonl.zst"));
  const auto size = fs::file_size(path("shard.jsonl.zst"));
  write_config("config.yaml", path("shard.jsonl.zst"));
  const Finished run = penstock({"run", path("config.yaml"), "--summary", path("shard.jsonl.zst")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors,
              HasSubstr("the summary '" + path("shard.jsonl.zst") + "' is also an input"));
  EXPECT_EQ(fs::file_size(path("shard.jsonl.zst")), size);
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, WritesATraceOfEveryStage) {
  const Finished run = penstock(
      {"run", path("config.yaml"), "--trace", path("trace.json"), "--summary", path("run.json")});
  ASSERT_EQ(run.status, 0) << run.errors;
  std::map<std::string, double> microseconds;
  std::set<std::string> threads;
  const nlohmann::json written = trace();
  for (const nlohmann::json& event : written["traceEvents"]) {
    if (event["ph"] == "X") {
      microseconds[event["name"]] += event["dur"].get<double>();
    } else if (event["name"] == "thread_name") {
      threads.insert(event["args"]["name"]);
    }
  }
  // What the trace and the summary say of a stage is the same.
  const nlohmann::json told = summary();
  for (const nlohmann::json& stage : told["stages"]) {
    const double seconds =
        stage["busy_seconds"].get<double>() + stage["own_thread_seconds"].get<double>();
    EXPECT_NEAR(microseconds[stage["name"]], 1e6 * seconds, 1) << stage["name"];
  }
  EXPECT_THAT(threads, Contains("worker 0"));
  EXPECT_THAT(threads, Not(Contains("worker 2")));
}

TEST_F(CommandLineTest, TracesTheDeviceThread) {
  const Finished run = penstock({"run",
                                 PENSTOCK_SOURCE_DIR "/configs/demo.yaml",
                                 "--set",
                                 "read.paths=" + kSample + "*.jsonl.zst",
                                 "--set",
                                 "tokenize.model=" + kSample + "demo_bpe_8k_bytefallback.model",
                                 "--set",
                                 "device.kind=cpu",
                                 "--trace",
                                 path("trace.json")});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(read_file(path("trace.json")), HasSubstr(R"("args":{"name":"device"}})"));
}

TEST_F(CommandLineTest, WritesATraceOfAFailedRun) {
  write_config("bad.yaml", kBad + "json_bad_escape.jsonl.zst");
  const Finished run = penstock({"run", path("bad.yaml"), "--trace", path("trace.json")});
  EXPECT_EQ(run.status, 1);
  EXPECT_FALSE(trace()["traceEvents"].empty());
}

TEST_F(CommandLineTest, RefusesAnUnwritableTraceBeforeAnyWork) {
  const Finished run =
      penstock({"run", path("config.yaml"), "--trace", path("no_folder/trace.json")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("no_folder/trace.json"));
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, RefusesATraceOnStandardOutput) {
  const Finished run = penstock({"run", path("config.yaml"), "--trace", "-"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("--trace: got '-', but a trace cannot go to standard output"));
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, RefusesAnEmptyPathOfATraceOrASummary) {
  for (const std::string option : {"--trace", "--summary"}) {
    const Finished run = penstock({"run", path("config.yaml"), option, ""});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.errors, HasSubstr(option + ": got '', expected the path of a file"));
    EXPECT_FALSE(fs::exists(path("out.npy")));
  }
}

TEST_F(CommandLineTest, RefusesATraceInThePlaceOfAnInput) {
  const auto size = fs::file_size(path("config.yaml"));
  const Finished run = penstock({"run", path("config.yaml"), "--trace", path("config.yaml")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("the trace '" + path("config.yaml") + "' is also an input"));
  EXPECT_EQ(fs::file_size(path("config.yaml")), size);
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, RefusesATraceInThePlaceOfAnotherOutput) {
  for (const std::string& other : {path("out.npy"), path("run.json")}) {
    const Finished run =
        penstock({"run", path("config.yaml"), "--summary", path("run.json"), "--trace", other});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.errors,
                HasSubstr("the trace '" + other + "' is also another output of this run"));
    EXPECT_FALSE(fs::exists(path("out.npy")));
  }
}

TEST_F(CommandLineTest, RefusesASummaryOrATraceInThePlaceOfTheReports) {
  const std::string reports = path("reports.jsonl");
  std::ofstream(reports) << "of an earlier run\n";
  write_config_with_sinks("device.yaml", "  - device: {kind: cpu, reports: '" + reports + "'}\n");
  for (const auto& [option, what] : {std::pair("--summary", "summary"), {"--trace", "trace"}}) {
    const Finished run = penstock({"run", path("device.yaml"), option, reports});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.errors,
                HasSubstr(std::string("the ") + what + " '" + reports +
                          "' is also another output of this run"));
  }
  EXPECT_EQ(read_file(reports), "of an earlier run\n");
}

TEST_F(CommandLineTest, WritesTheReportsOfADevice) {
  const std::string reports = path("reports.jsonl");
  std::ofstream(reports) << "of an earlier run\n";
  std::ofstream(path("x.jsonl")) << "{\"text\":\"enough for one row\"}\n";
  write_config_with_sinks("device.yaml",
                          "  - device: {kind: cpu, stage: lm_score, width: 8, report_every: 1, "
                          "reports: '" +
                              reports + "'}\n");
  const Finished run =
      penstock({"run", path("device.yaml"), "--set", "read.paths=" + path("x.jsonl")});
  ASSERT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(read_file(reports), AllOf(StartsWith("{\"batches\":1,"), EndsWith("}\n")));
}

TEST_F(CommandLineTest, RefusesToReadWhatAnotherStageWrites) {
  const std::string weights = path("weights");
  std::ofstream(weights) << "precious";
  const std::string score = "  - device: {kind: cpu, stage: lm_score, weights: '" + weights + "'";
  const std::string npy = "  - write_npy: {path: '" + weights + "'}\n";
  for (const std::string& sinks :
       {score + ", reports: '" + weights + "'}\n", npy + score + "}\n"}) {
    write_config_with_sinks("device.yaml", sinks);
    const Finished run = penstock({"run", path("device.yaml")});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.errors,
                HasSubstr("option 'weights' of stage 'device': '" + weights +
                          "' is also an output of this run"));
    EXPECT_EQ(read_file(weights), "precious");
  }
}

TEST_F(CommandLineTest, SaysWhyTheTraceIsMissing) {
  const Finished run = shell("ulimit -f 1; exec " + kPenstock + " run '" + path("config.yaml") +
                             "' --quiet --trace '" + path("trace.json") + "'");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors,
              HasSubstr("\npenstock: cannot write '" + path("trace.json") + "': File too large\n"));
  EXPECT_FALSE(fs::exists(path("trace.json")));
}

TEST_F(CommandLineTest, FailsWhenStandardOutputIsFull) {
  if (!fs::exists("/dev/full")) {
    GTEST_SKIP() << "needs /dev/full";
  }
  const std::string config = " '" + path("config.yaml") + "'";
  for (const std::string& arguments : {std::string("--help"),
                                       std::string("--version"),
                                       std::string("stages"),
                                       "graph" + config,
                                       "run" + config,
                                       "inspect" + config,
                                       "validate" + config}) {
    SCOPED_TRACE(arguments);
    const Finished run = shell("exec " + kPenstock + " " + arguments + " > /dev/full");
    EXPECT_EQ(run.status, 1);
    EXPECT_THAT(run.errors, HasSubstr("penstock: cannot write to standard output"));
  }
}

TEST_F(CommandLineTest, TellsWhyTheRunFailedBeforeWhyTheSummaryIsMissing) {
  // Through a pipe, which has no limit.
  const Finished run =
      shell("{ (ulimit -f 1; exec " + kPenstock + " run '" + path("config.yaml") +
            "' --quiet --summary '" + path("run.json") + "') 2>&1; echo \"status $?\"; } | cat");
  EXPECT_THAT(run.output, StartsWith("penstock: sink 'write_npy' failed"));
  EXPECT_THAT(run.output,
              HasSubstr("\npenstock: cannot write '" + path("run.json") + "': File too large\n"));
  EXPECT_THAT(run.output, EndsWith("\nstatus 1\n"));
}

TEST_F(CommandLineTest, FailsToReadAClosedStandardInput) {
  const Finished run =
      shell("exec " + kPenstock + " run '" + path("config.yaml") + "' --set read.paths=- <&-");
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("Bad file descriptor"));
}

TEST_F(CommandLineTest, RunsWithoutStandardOutput) {
  const Finished run = shell("exec " + kPenstock + " run '" + path("config.yaml") + "' >&-");
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.errors, IsEmpty());
}

TEST_F(CommandLineTest, KeepsItsOutputCleanWithoutStandardStreams) {
  ASSERT_EQ(penstock({"run", path("config.yaml")}).status, 0);
  const Finished run = shell("exec " + kPenstock + " run '" + path("config.yaml") +
                             "' --set write_npy.path='" + path("other.npy") + "' <&- >&- 2>&-");
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(read_file(path("other.npy")), read_file(path("out.npy")));
}

TEST_F(CommandLineTest, StopsOnCtrlCWhenNobodyTakesItsSummary) {
  UnreadPipe pipe(path("pipe"));
  pipe.fill();
  FolderWatch watch(folder_.path());
  Subprocess process =
      start_shell("exec " + kPenstock + " run '" + path("config.yaml") + "' --summary '" +
                  path("run.json") + "' > '" + path("pipe") + "'");
  watch.wait_for("run.json");  // the run is over and its summary is printed
  expect_soon_gone(process, {SIGINT}, 130);
}

TEST_F(CommandLineTest, StopsAtASecondSignalWhenNobodyTakesItsSummary) {
  UnreadPipe pipe(path("pipe"));
  pipe.fill();
  Subprocess process = start_shell("exec " + kPenstock + " run '" + path("config.yaml") +
                                   "' --set read.paths=- > '" + path("pipe") + "'");
  write_text(process);
  expect_soon_gone(process, {SIGINT, SIGINT, SIGTERM}, 130);
}

TEST_F(CommandLineTest, StopsOnCtrlCWhenItsTerminalIsStopped) {
  if (!std::filesystem::exists("/dev/pts/ptmx")) {
    GTEST_SKIP() << "this system has no pseudo-terminals (/dev/pts is not mounted)";
  }
  Terminal terminal;
  Subprocess process = start_shell("exec " + kPenstock + " run '" + path("config.yaml") +
                                   "' --set read.paths=- --summary '" + path("run.json") + "' 2> " +
                                   terminal.path());
  terminal.wait_for_output();  // the progress bar
  terminal.stop_output();
  expect_soon_gone(process, {SIGINT}, 130);
  EXPECT_EQ(summary()["status"], "stopped");
}

TEST_F(CommandLineTest, StopsInspectingOnCtrlCWhenNobodyTakesTheRows) {
  UnreadPipe pipe(path("pipe"));
  Subprocess process = start_shell("exec " + kPenstock + " inspect '" + path("config.yaml") +
                                   "' --rows 100000 > '" + path("pipe") + "'");
  pipe.wait_for_output();  // the first of far more rows than a pipe holds
  expect_soon_gone(process, {SIGINT}, -SIGINT);
}

TEST_F(CommandLineTest, StopsOnCtrlCWithASummaryAndATrace) {
  Subprocess process(command({"run",
                              path("config.yaml"),
                              "--set",
                              "read.paths=-",
                              "--summary",
                              path("run.json"),
                              "--trace",
                              path("trace.json")}),
                     folder_.path());
  write_text(process);
  const auto start = std::chrono::steady_clock::now();
  process.send(SIGINT);
  const Finished run = process.wait(true);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ(run.status, 130) << run.errors;
  EXPECT_THAT(run.output, StartsWith("Stopped after "));
  EXPECT_THAT(run.errors, IsEmpty());
  EXPECT_EQ(summary()["status"], "stopped");
  EXPECT_FALSE(trace()["traceEvents"].empty());
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, StopsOnSigtermWithItsOwnStatus) {
  Subprocess process(command({"run", path("config.yaml"), "--set", "read.paths=-"}),
                     folder_.path());
  write_text(process);
  process.send(SIGTERM);
  EXPECT_EQ(process.wait(true).status, 143);
}

TEST_F(CommandLineTest, ValidatesAConfiguration) {
  const Finished run = penstock({"validate", path("config.yaml")});
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(
      run.output,
      StartsWith(path("config.yaml") + " is valid: read -> parse -> tokenize -> pack -> write_npy\n"
                                       "  tokenize: "));
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, ValidatesWithoutTouchingTheReportsOfAnEarlierRun) {
  const std::string reports = path("reports.jsonl");
  std::ofstream(reports) << "of an earlier run\n";
  write_config_with_sinks("device.yaml", "  - device: {kind: cpu, reports: '" + reports + "'}\n");
  const Finished run = penstock({"validate", path("device.yaml")});
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_EQ(read_file(reports), "of an earlier run\n");
  EXPECT_FALSE(fs::exists(reports + ".partial"));
}

TEST_F(CommandLineTest, PrintsEveryIssueOfABrokenConfiguration) {
  std::ofstream(path("config.yaml"), std::ios::app) << "memory_limt: 1GiB\nthread: 2\n";
  const Finished run = penstock({"validate", path("config.yaml")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("config.yaml:8:"));
  EXPECT_THAT(run.errors, HasSubstr("memory_limt"));
  EXPECT_THAT(run.errors, HasSubstr("config.yaml:9:"));
  EXPECT_THAT(run.output, IsEmpty());
}

TEST_F(CommandLineTest, ValidatesTheModelToo) {
  const Finished run =
      penstock({"validate", path("config.yaml"), "--set", "tokenize.model=" + path("none.model")});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("none.model"));
}

TEST_F(CommandLineTest, InspectsTheFirstRows) {
  const Finished run = penstock({"inspect", path("config.yaml"), "--rows", "5"});
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, StartsWith("row 0 (row 0 of batch 0)\n"));
  EXPECT_THAT(run.output, HasSubstr("\nrow 4 (row 0 of batch 1)\n"));
  EXPECT_THAT(run.output, Not(HasSubstr("\nrow 5 ")));
  EXPECT_THAT(run.output, HasSubstr("(128 ids)"));
  EXPECT_THAT(run.output, HasSubstr("A large batch of messages that a store-and-forward network"));
  EXPECT_THAT(run.output, HasSubstr("sample_00.jsonl.zst, record 1, byte 0, from its token 0\n"));
  EXPECT_FALSE(fs::exists(path("out.npy")));
  EXPECT_FALSE(fs::exists(path("out.npy.partial")));
}

TEST_F(CommandLineTest, SaysWhenThereAreFewerRowsThanAskedFor) {
  Subprocess process(command({"inspect",
                              path("config.yaml"),
                              "--set",
                              "read.paths=-",
                              "--set",
                              "pack.drop_last=false"}),
                     folder_.path());
  process.write("{\"text\":\"short\"}\n");
  const Finished run = process.wait();
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("padding\n"));
  EXPECT_THAT(run.output, EndsWith("The output has 1 row; 3 were asked for.\n"));
}

TEST_F(CommandLineTest, FailsWhenTheInputIsBadBeforeTheRows) {
  Subprocess process(command({"inspect",
                              path("config.yaml"),
                              "--set",
                              "read.paths=-",
                              "--set",
                              "pack.sequence_length=2",
                              "--set",
                              "pack.batch_size=1"}),
                     folder_.path());
  process.write("{\"text\":\"one two three four\"}\nnot JSON\n");
  const Finished run = process.wait();
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.errors, HasSubstr("record 2"));
}

TEST_F(CommandLineTest, DrawsTheGraph) {
  const Finished mermaid = penstock({"graph", path("config.yaml")});
  EXPECT_EQ(mermaid.status, 0) << mermaid.errors;
  EXPECT_THAT(mermaid.output, StartsWith("flowchart LR\n"));
  EXPECT_THAT(mermaid.output, HasSubstr("write_npy"));
  const Finished dot = penstock({"graph", path("config.yaml"), "--format", "dot"});
  EXPECT_THAT(dot.output, StartsWith("digraph penstock {\n"));
  EXPECT_FALSE(fs::exists(path("out.npy")));
}

TEST_F(CommandLineTest, ListsAndDescribesStages) {
  EXPECT_THAT(penstock({"stages"}).output, StartsWith("read "));
  EXPECT_THAT(penstock({"stages", "tokenize"}).output, HasSubstr("model"));
  EXPECT_THAT(penstock({"stages", "--markdown"}).output, HasSubstr("memory_limit"));
}

TEST_F(CommandLineTest, NamesTheNearestStage) {
  const Finished run = penstock({"stages", "tokenise"});
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.errors,
            "penstock: there is no stage 'tokenise' (did you mean 'tokenize'?); "
            "'penstock stages' lists them\n");
}

TEST_F(CommandLineTest, NamesTheNearestCommand) {
  const Finished run = penstock({"runn", "--quiet", "some.yaml"});
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.errors,
            "penstock: there is no command 'runn' (did you mean 'run'?); "
            "'penstock --help' lists them\n");
  EXPECT_EQ(penstock({"nonsense"}).errors,
            "penstock: there is no command 'nonsense'; 'penstock --help' lists them\n");
  EXPECT_THAT(penstock({"--nonsense"}).errors, HasSubstr("not expected: --nonsense"));
  EXPECT_THAT(penstock({"run", "a.yaml", "b.yaml"}).errors, HasSubstr("not expected: b.yaml"));
}

TEST_F(CommandLineTest, HasExamplesInEveryHelp) {
  EXPECT_THAT(penstock({"--help"}).output, HasSubstr("Examples:"));
  for (const char* name :
       {"run", "validate", "stages", "graph", "inspect", "inspect-model", "bench", "generate"}) {
    const Finished help = penstock({name, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_THAT(help.output, HasSubstr("Examples:\n  penstock " + std::string(name)));
  }
}

TEST_F(CommandLineTest, ShowsWhatIsProvedOfAModel) {
  const Finished run = penstock(
      {"inspect-model", PENSTOCK_SOURCE_DIR "/data/sample/demo_bpe_8k_bytefallback.model"});
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output, HasSubstr("a SentencePiece model of the type BPE"));
  EXPECT_THAT(run.output, HasSubstr("  engine        fast engine (BPE"));
  EXPECT_THAT(run.output, HasSubstr("A text is cut where no piece can lie across:"));
}

TEST_F(CommandLineTest, TellsWhyAModelIsLeftToTheLibrary) {
  const Finished run =
      penstock({"inspect-model", PENSTOCK_SOURCE_DIR "/tests/data/models/word_4k.model"});
  EXPECT_EQ(run.status, 0) << run.errors;
  EXPECT_THAT(run.output,
              HasSubstr("SentencePiece library (there is no fast engine for word models)"));
}

TEST_F(CommandLineTest, NamesAModelThatItCannotInspect) {
  const Finished run = penstock({"inspect-model", path("none.model")});
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.errors,
            "penstock: cannot load '" + path("none.model") + "': No such file or directory\n");
}

TEST_F(CommandLineTest, ContinuesTextsWithAModelThatItHasTrained) {
  std::ofstream shard(path("x.jsonl"));
  for (int line = 0; line < 600; ++line) {
    shard << R"({"text":"The quick brown fox jumps over the lazy dog."})" << '\n';
  }
  shard.close();
  const std::string weights = path("model.safetensors");
  write_config_with_sinks("train.yaml",
                          "  - device: {kind: cpu, stage: lm_train, width: 32, layers: 1, heads: "
                          "2, warmup_steps: 4, learning_rate: 0.02, save_weights: '" +
                              weights + "'}\n");
  const std::string checkpoints = path("checkpoints");
  const Finished run = penstock({"run",
                                 path("train.yaml"),
                                 "--set",
                                 "read.paths=" + path("x.jsonl"),
                                 "--set",
                                 "checkpoint_folder=" + checkpoints,
                                 "--set",
                                 "checkpoint_every=20"});  // the last batch
  ASSERT_EQ(run.status, 0) << run.errors;

  const std::string tokenizer = kSample + "demo_bpe_8k_bytefallback.model";
  const auto generate = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "generate", "--device", "cpu", "--weights", weights, "--tokenizer", tokenizer};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return penstock(arguments);
  };
  const Finished greedy =
      generate({"--prompt", "The quick", "--prompt", "jumps over", "--tokens", "8"});
  EXPECT_EQ(greedy.status, 0) << greedy.errors;
  EXPECT_THAT(greedy.output, StartsWith("The quick brown fox"));
  EXPECT_THAT(greedy.output, HasSubstr("\n\njumps over the lazy"));
  EXPECT_EQ(generate({"--prompt", "The quick", "--temperature", "5", "--seed", "3"}).output,
            generate({"--prompt", "The quick", "--temperature", "5", "--seed", "3"}).output);
  const Finished checkpoint = penstock({"generate",
                                        "--device",
                                        "cpu",
                                        "--checkpoint",
                                        checkpoints,
                                        "--prompt",
                                        "The quick",
                                        "--tokens",
                                        "8"});
  EXPECT_THAT(checkpoint.output, StartsWith("The quick brown fox")) << checkpoint.errors;

  const auto expect_error = [&](const std::vector<std::string>& more, const std::string& error) {
    const Finished failed = generate(more);
    EXPECT_NE(failed.status, 0);
    EXPECT_THAT(failed.errors, HasSubstr(error));
  };
  expect_error({"--prompt", "x", "--tokens", "128"}, "above the 128 positions that there are");
  expect_error({"--prompt", ""}, "prompt 1 has no tokens");
  expect_error({"--prompt", "x", "--top-p", "0"}, "--top-p");
  expect_error({"--prompt", "x", "--heads", "5"}, "cannot be divided among 5 heads");
  expect_error({}, "--prompt is required");
  expect_error({"--prompt", "x", "--checkpoint", checkpoints}, "--checkpoint");
  EXPECT_THAT(penstock({"generate", "--prompt", "x"}).errors, HasSubstr("--checkpoint"));
  EXPECT_THAT(penstock({"generate", "--prompt", "x", "--weights", weights}).errors,
              HasSubstr("--weights requires --tokenizer"));
  EXPECT_THAT(penstock({"generate", "--prompt", "x", "--checkpoint", path("none")}).errors,
              HasSubstr("cannot read the folder of checkpoints"));
  EXPECT_THAT(penstock({"generate",
                        "--weights",
                        weights,
                        "--tokenizer",
                        tokenizer,
                        "--prompt",
                        "x",
                        "--device",
                        "tpu"})
                  .errors,
              HasSubstr("'tpu'"));
}

TEST_F(CommandLineTest, TellsItsVersion) {
  const Finished run = penstock({"--version"});
  EXPECT_EQ(run.status, 0);
  EXPECT_THAT(run.output, StartsWith("penstock 0."));
  EXPECT_THAT(run.output, HasSubstr("  interface  0."));
  EXPECT_THAT(run.output, HasSubstr("simdjson "));
  EXPECT_THAT(run.output, HasSubstr("portable (of this machine"));
}

TEST_F(CommandLineTest, ShowsHelpWithoutACommand) {
  const Finished run = penstock({});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.errors, HasSubstr("Usage: penstock"));
}

TEST_F(CommandLineTest, RefusesUnknownCommandsAndOptions) {
  const Finished command = penstock({"rum"});
  EXPECT_EQ(command.status, 2);
  EXPECT_THAT(command.errors, HasSubstr("rum"));
  const Finished option = penstock({"run", path("config.yaml"), "--sumary", "x"});
  EXPECT_EQ(option.status, 2);
  EXPECT_THAT(option.errors, HasSubstr("--sumary"));
  EXPECT_EQ(penstock({"graph", path("config.yaml"), "--format", "png"}).status, 2);
}

}  // namespace
}  // namespace penstock
