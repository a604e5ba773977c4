#include "apps/summary_json.h"

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/apps/sample_report.h"

namespace penstock {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

ordered_json parsed(const RunReport& report) {
  return ordered_json::parse(summary_json(report));
}

// The names of all members of `json`, at any depth, but not those of a sink's results, which the
// sink chooses.
void collect_keys(const ordered_json& json, std::vector<std::string>& keys) {
  for (const auto& [key, value] : json.items()) {
    if (json.is_object()) {
      keys.push_back(key);
    }
    if (key != "results" && value.is_structured()) {
      collect_keys(value, keys);
    }
  }
}

std::string documentation() {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/docs/summary.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(SummaryJson, WritesEveryFigure) {
  RunReport report = sample_report();
  report.summary.stages.back().own_thread_seconds = 1.75;
  EXPECT_EQ(parsed(report), ordered_json::parse(R"({
    "schema_version": 2,
    "penstock_version": "0.1.0",
    "config": "configs/demo.yaml",
    "started_at": "2023-11-14T22:13:20Z",
    "status": "finished",
    "error": null,
    "warnings": [],
    "resumed": null,
    "checkpoints": null,
    "wall_seconds": 2.0,
    "cpu_seconds": 3.0,
    "cores_used": 1.5,
    "threads": 2,
    "memory": {"limit_bytes": 1073741824, "peak_in_flight_bytes": 3145728,
               "peak_resident_bytes": 52428800},
    "input": {"total_bytes": 745825, "bytes": 745825, "records": 1038, "rejects": 2},
    "share_done": 1.0,
    "documents": 1036,
    "text_bytes": 3100000,
    "tokens": {"in": 800000, "packed": 790000, "delivered": 790000,
               "dropped": 10000, "padded": 7, "repeated": 5},
    "batches": 24,
    "rates": {"tokens_per_second": 395000.0, "text_bytes_per_second": 1550000.0,
              "input_bytes_per_second": 372912.5},
    "stages": [
      {"name": "read", "plugin": null, "width": 1, "chunks": 13, "records": 1038, "documents": 0, "tokens": 0,
       "bytes_in": 745825, "bytes_out": 3244520, "rejects": 1, "busy_seconds": 0.1,
       "own_thread_seconds": 0.0, "blocked_seconds": 1.5, "busy_share": 0.05, "note": ""},
      {"name": "tokenize", "plugin": null, "width": 2, "chunks": 13, "records": 0, "documents": 1036,
       "tokens": 800000, "bytes_in": 3100000, "bytes_out": 3200000, "rejects": 1,
       "busy_seconds": 3.6, "own_thread_seconds": 0.0, "blocked_seconds": 0.0,
       "busy_share": 0.9, "note": "fast engine: BPE"},
      {"name": "write_npy", "plugin": null, "width": 1, "chunks": 24, "records": 0, "documents": 0,
       "tokens": 790000, "bytes_in": 0, "bytes_out": 0, "rejects": 0, "busy_seconds": 0.2,
       "own_thread_seconds": 1.75, "blocked_seconds": 0.0, "busy_share": 0.1, "note": ""}],
    "limit": {"stage": "tokenize", "reason": "its threads are busy 90 % of the time"},
    "sinks": [{"name": "write_npy",
               "results": {"path": "out.npy", "rows": 768, "mean_row": 1028.5}}]
  })"));
}

TEST(SummaryJson, KeepsItsKeysInOrder) {
  const std::string text = summary_json(sample_report());
  EXPECT_LT(text.find("\"schema_version\""), text.find("\"status\""));
  EXPECT_LT(text.find("\"status\""), text.find("\"stages\""));
  EXPECT_EQ(text.back(), '\n');
}

TEST(SummaryJson, SaysWhatWentWrong) {
  RunReport report = sample_report();
  report.status = RunStatus::kFailed;
  report.error = "x.jsonl, record 3, byte 120: reason";
  EXPECT_EQ(parsed(report)["status"], "failed");
  EXPECT_EQ(parsed(report)["error"], report.error);
}

TEST(SummaryJson, NamesThePlugInOfAStage) {
  RunReport report = sample_report();
  report.summary.stages[1].plugin = "libmystage.so";
  EXPECT_EQ(parsed(report)["stages"][1]["plugin"], "libmystage.so");
}

TEST(SummaryJson, ListsTheWarnings) {
  RunReport report = sample_report();
  report.summary.warnings = {"first", "second"};
  EXPECT_EQ(parsed(report)["warnings"], ordered_json({"first", "second"}));
}

TEST(SummaryJson, CountsAsSpeedOnlyWhatWasDelivered) {
  RunReport report = sample_report();
  report.summary.delivered_tokens = 79'000;
  const ordered_json json = parsed(report);
  EXPECT_EQ(json["tokens"]["packed"], 790'000);
  EXPECT_EQ(json["tokens"]["delivered"], 79'000);
  EXPECT_EQ(json["rates"]["tokens_per_second"], 39'500);
  EXPECT_DOUBLE_EQ(json["share_done"].get<double>(), 0.1);
}

TEST(SummaryJson, TellsOfResumingAndOfCheckpoints) {
  RunReport report = sample_report();
  StreamPosition& from = report.summary.resumed.emplace();
  from.next_batch = 12;
  from.totals = {510, 500, 1};
  from.account = {390'000, 400'000, 0, 0, 0};
  report.summary.checkpoints = {4, 2, 3, "ckpt/batch-000000000012", "disk full"};
  const ordered_json json = parsed(report);
  EXPECT_EQ(json["resumed"],
            ordered_json::parse(R"({"next_batch": 12, "records": 510, "documents": 500,
                                    "rejects": 1, "tokens": 400000})"));
  EXPECT_EQ(json["checkpoints"], ordered_json::parse(R"({"written": 4, "failed": 2, "left_out": 3,
                                    "last": "ckpt/batch-000000000012"})"));
  EXPECT_EQ(json["rates"]["tokens_per_second"], 195'000);
}

TEST(SummaryJson, IsValidForARunThatDidNothing) {
  RunReport report;
  report.status = RunStatus::kStopped;
  const ordered_json json = parsed(report);
  EXPECT_EQ(json["status"], "stopped");
  EXPECT_EQ(json["limit"], nullptr);
  EXPECT_EQ(json["input"]["total_bytes"], nullptr);
  EXPECT_EQ(json["share_done"], nullptr);
  EXPECT_EQ(json["rates"]["tokens_per_second"], 0);
  EXPECT_EQ(json["sinks"], ordered_json::array());
}

TEST(SummaryJson, HasResultsOfManyNumbersAndOfNone) {
  RunReport report = sample_report();
  report.summary.sinks = {
      {"device", {{"perplexity", std::vector<double>{1.5, 2}}, {"loss", std::nan("")}}}};
  EXPECT_EQ(parsed(report)["sinks"][0]["results"],
            ordered_json::parse(R"({"perplexity": [1.5, 2.0], "loss": null})"));
}

TEST(SummaryJson, ReplacesBytesThatAreNotUtf8) {
  RunReport report = sample_report();
  report.config = "\xFF.yaml";
  EXPECT_EQ(parsed(report)["config"], "\xEF\xBF\xBD.yaml");
}

TEST(SummaryJson, HasEveryKeyInTheDocumentation) {
  std::vector<std::string> keys;
  RunReport report = sample_report();
  report.summary.resumed.emplace();
  report.summary.checkpoints.emplace();
  collect_keys(parsed(report), keys);
  ASSERT_GT(keys.size(), 30U);
  const std::string text = documentation();
  for (const std::string& key : keys) {
    EXPECT_THAT(text, HasSubstr("`" + key + "`"));
  }
}

}  // namespace
}  // namespace penstock
