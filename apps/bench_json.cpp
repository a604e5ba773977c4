#include "apps/bench_json.h"

#include <nlohmann/json.hpp>

#include "apps/utc_time.h"
#include "apps/version.h"

namespace penstock {
namespace {

using Json = nlohmann::ordered_json;

// Counts up when a key changes its meaning or goes away.
constexpr int kSchemaVersion = 1;

// Infinite rates, of stages that took no time, become null.
Json spread_json(const Spread& spread) {
  return {{"median", spread.median}, {"min", spread.min}, {"max", spread.max}};
}

Spread rates(const Spread& seconds_per_byte) {
  return {1 / seconds_per_byte.median, 1 / seconds_per_byte.max, 1 / seconds_per_byte.min};
}

Json stages_json(const BenchReport& report) {
  const double sum = core_seconds_per_byte(stage_costs(report));
  Json stages = Json::array();
  for (const BenchStage& stage : report.stages) {
    stages.push_back({{"name", stage.name},
                      {"node", stage.node},
                      {"width", stage.width ? Json(*stage.width) : Json(nullptr)},
                      {"text_bytes_per_second", spread_json(rates(stage.seconds_per_byte))},
                      {"text_bytes_per_second_when_new", 1 / stage.first_seconds_per_byte},
                      {"core_share", stage.seconds_per_byte.median / sum}});
  }
  return stages;
}

Json runs_json(const BenchReport& report) {
  const double fewest = report.runs.front().bytes_per_second.median;
  Json runs = Json::array();
  for (const BenchRun& run : report.runs) {
    const double reached = run.bytes_per_second.median;
    runs.push_back({{"threads", run.threads},
                    {"ceiling_text_bytes_per_second", run.ceiling},
                    {"text_bytes_per_second", spread_json(run.bytes_per_second)},
                    {"tokens_per_second", reached * tokens_per_byte(report)},
                    {"share_of_ceiling", spread_json(run.share)},
                    {"speed_up", reached / fewest},
                    {"cores_used", run.cores_used},
                    {"work_share", work_share(report, run)},
                    {"processor_share", run.processor_share},
                    {"peak_resident_bytes", run.peak_resident_bytes},
                    {"peak_in_flight_bytes", run.peak_in_flight_bytes}});
  }
  return runs;
}

Json limit_json(const BenchReport& report) {
  const BenchRun& run = report.runs.back();
  const CeilingLimit limit = find_limit(stage_costs(report), cores_of(report, run));
  return {{"stage", report.stages[limit.stage].name},
          {"threads", run.threads},
          {"core_share", limit.core_share},
          {"narrow_width", limit.narrow ? Json(*limit.narrow) : Json(nullptr)},
          {"gain_twice_as_fast", limit.gain_twice_as_fast}};
}

}  // namespace

std::string bench_json(const BenchReport& report) {
  Json json = {{"schema_version", kSchemaVersion},
               {"penstock_version", version()},
               {"config", report.config},
               {"started_at", utc_time(report.started)},
               {"wall_seconds", report.wall_seconds},
               {"processors", report.processors},
               {"rounds", report.rounds},
               {"sample",
                {{"chunks", report.chunks},
                 {"text_bytes", report.text_bytes},
                 {"tokens", report.tokens},
                 {"timed_text_bytes", report.timed_text_bytes},
                 {"timed_tokens", report.timed_tokens},
                 {"passes", report.passes}}},
               {"stages", stages_json(report)},
               {"core_text_bytes_per_second", 1 / core_seconds_per_byte(stage_costs(report))},
               {"runs", runs_json(report)},
               {"limit", limit_json(report)},
               {"verdict", bench_verdict(report)},
               {"notes", bench_notes(report)}};
  // Paths may hold bytes that are not UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace penstock
