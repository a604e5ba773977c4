#include "apps/bench_json.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/apps/sample_bench_report.h"

namespace penstock {
namespace {

using testing::StartsWith;

nlohmann::json parsed(const BenchReport& report) {
  return nlohmann::json::parse(bench_json(report));
}

TEST(BenchJson, TellsOfTheSample) {
  const nlohmann::json json = parsed(sample_bench_report());
  EXPECT_EQ(json["schema_version"], 1);
  EXPECT_EQ(json["config"], "configs/demo.yaml");
  EXPECT_EQ(json["started_at"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(json["wall_seconds"], 9.8);
  EXPECT_EQ(json["processors"], 2);
  EXPECT_EQ(json["rounds"], 5);
  const nlohmann::json sample = {{"chunks", 256},
                                 {"text_bytes", 64'000'000},
                                 {"tokens", 20'000'000},
                                 {"timed_text_bytes", 32'000'000},
                                 {"timed_tokens", 8'000'000},
                                 {"passes", 1}};
  EXPECT_EQ(json["sample"], sample);
}

TEST(BenchJson, TellsOfEachStage) {
  const nlohmann::json json = parsed(sample_bench_report());
  ASSERT_EQ(json["stages"].size(), 5U);
  const auto& tokenize = json["stages"][3];
  EXPECT_EQ(tokenize["name"], "tokenize");
  EXPECT_EQ(tokenize["node"], 1);
  EXPECT_EQ(tokenize["width"], nullptr);
  EXPECT_EQ(json["stages"][1]["width"], 4);
  const auto& rate = tokenize["text_bytes_per_second"];
  EXPECT_DOUBLE_EQ(rate["median"], 1e8 / 0.71);
  EXPECT_DOUBLE_EQ(rate["min"], 1e8 / 0.71 / 1.25);
  EXPECT_DOUBLE_EQ(rate["max"], 1e8 / 0.71 * 1.25);
  EXPECT_DOUBLE_EQ(tokenize["text_bytes_per_second_when_new"], 1e8 / 0.71 / 2);
  EXPECT_DOUBLE_EQ(tokenize["core_share"], 0.71);
  EXPECT_DOUBLE_EQ(json["core_text_bytes_per_second"], 1e8);
}

TEST(BenchJson, HasNoRateForAStageThatTakesNoTime) {
  BenchReport report = sample_bench_report();
  report.stages[0].seconds_per_byte = {};
  EXPECT_EQ(parsed(report)["stages"][0]["text_bytes_per_second"]["median"], nullptr);
}

TEST(BenchJson, TellsOfEachNumberOfThreads) {
  const nlohmann::json json = parsed(sample_bench_report());
  ASSERT_EQ(json["runs"].size(), 2U);
  const auto& run = json["runs"][1];
  EXPECT_EQ(run["threads"], 2);
  EXPECT_EQ(run["ceiling_text_bytes_per_second"], 2e8);
  EXPECT_EQ(run["text_bytes_per_second"]["median"], 1.86e8);
  EXPECT_EQ(run["tokens_per_second"], 1.86e8 / 4);
  EXPECT_EQ(run["share_of_ceiling"]["median"], 0.93);
  EXPECT_DOUBLE_EQ(run["speed_up"], 1.86 / 0.98);
  EXPECT_EQ(run["cores_used"], 1.98);
  EXPECT_DOUBLE_EQ(run["work_share"], 1.86 / 1.98);
  EXPECT_EQ(run["processor_share"], 1);
  EXPECT_EQ(run["peak_resident_bytes"], 80 << 20);
  EXPECT_EQ(run["peak_in_flight_bytes"], 6 << 20);
}

TEST(BenchJson, TellsWhatLimits) {
  BenchReport report = sample_bench_report();
  report.passes = 2;
  const nlohmann::json json = parsed(report);
  EXPECT_EQ(json["limit"]["stage"], "tokenize");
  EXPECT_EQ(json["limit"]["threads"], 2);
  EXPECT_DOUBLE_EQ(json["limit"]["core_share"], 0.71);
  EXPECT_EQ(json["limit"]["narrow_width"], nullptr);
  EXPECT_DOUBLE_EQ(json["limit"]["gain_twice_as_fast"], 1 / (1 - 0.355));
  EXPECT_EQ(json["verdict"], bench_verdict(report));
  ASSERT_EQ(json["notes"].size(), 1U);
  EXPECT_THAT(json["notes"][0], StartsWith("The input holds less text"));
}

}  // namespace
}  // namespace penstock
