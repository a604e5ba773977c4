#include "apps/summary_json.h"

#include <optional>
#include <variant>

#include <nlohmann/json.hpp>

#include "apps/utc_time.h"
#include "apps/version.h"

namespace penstock {
namespace {

using Json = nlohmann::ordered_json;

// Counts up when a key changes its meaning or goes away.
constexpr int kSchemaVersion = 2;

const char* status_name(RunStatus status) {
  switch (status) {
    case RunStatus::kFinished:
      return "finished";
    case RunStatus::kStopped:
      return "stopped";
    case RunStatus::kFailed:
      return "failed";
  }
  return "unknown";
}

double per_second(double amount, double seconds) {
  return seconds > 0 ? amount / seconds : 0;
}

Json resumed_json(const RunSummary& summary) {
  if (!summary.resumed) {
    return nullptr;
  }
  const StreamPosition& from = *summary.resumed;
  return {{"next_batch", from.next_batch},
          {"records", from.totals.records},
          {"documents", from.totals.documents},
          {"rejects", from.totals.rejects},
          {"tokens", from.account.out}};
}

Json checkpoints_json(const RunSummary& summary) {
  if (!summary.checkpoints) {
    return nullptr;
  }
  const CheckpointCounts& counts = *summary.checkpoints;
  return {{"written", counts.written},
          {"failed", counts.failed},
          {"left_out", counts.left_out},
          {"last", counts.last.empty() ? Json(nullptr) : Json(counts.last)}};
}

Json stages_json(const RunSummary& summary) {
  Json stages = Json::array();
  for (const StageSummary& stage : summary.stages) {
    stages.push_back({{"name", stage.name},
                      {"plugin", stage.plugin.empty() ? Json(nullptr) : Json(stage.plugin)},
                      {"width", stage.width},
                      {"chunks", stage.chunks},
                      {"records", stage.records},
                      {"documents", stage.documents},
                      {"tokens", stage.tokens},
                      {"bytes_in", stage.bytes_in},
                      {"bytes_out", stage.bytes_out},
                      {"rejects", stage.rejects},
                      {"busy_seconds", stage.busy_seconds},
                      {"own_thread_seconds", stage.own_thread_seconds},
                      {"blocked_seconds", stage.blocked_seconds},
                      {"busy_share", stage.busy_share},
                      {"note", stage.note}});
  }
  return stages;
}

Json limit_json(const RunSummary& summary) {
  if (summary.limiting_stage.empty()) {
    return nullptr;
  }
  return {{"stage", summary.limiting_stage}, {"reason", summary.limit_reason}};
}

Json sinks_json(const RunSummary& summary) {
  Json sinks = Json::array();
  for (const SinkSummary& sink : summary.sinks) {
    Json results = Json::object();
    for (const Result& result : sink.results) {
      std::visit([&](const auto& value) { results[result.name] = value; }, result.value);
    }
    sinks.push_back({{"name", sink.name}, {"results", std::move(results)}});
  }
  return sinks;
}

}  // namespace

std::string summary_json(const RunReport& report) {
  const RunSummary& summary = report.summary;
  const double wall = summary.wall_seconds;
  const std::optional<double> share_done = summary.share_done();
  Json json = {
      {"schema_version", kSchemaVersion},
      {"penstock_version", version()},
      {"config", report.config},
      {"started_at", utc_time(report.started)},
      {"status", status_name(report.status)},
      {"error", report.error.empty() ? Json(nullptr) : Json(report.error)},
      {"warnings", summary.warnings},
      {"resumed", resumed_json(summary)},
      {"checkpoints", checkpoints_json(summary)},
      {"wall_seconds", wall},
      {"cpu_seconds", summary.cpu_seconds},
      {"cores_used", per_second(summary.cpu_seconds, wall)},
      {"threads", summary.threads},
      {"memory",
       {{"limit_bytes", summary.memory_limit},
        {"peak_in_flight_bytes", summary.peak_in_flight_bytes},
        {"peak_resident_bytes", summary.peak_resident_bytes}}},
      {"input",
       {{"total_bytes",
         summary.total_input_bytes ? Json(*summary.total_input_bytes) : Json(nullptr)},
        {"bytes", summary.input_bytes},
        {"records", summary.records},
        {"rejects", summary.rejects}}},
      {"share_done", share_done ? Json(*share_done) : Json(nullptr)},
      {"documents", summary.documents},
      {"text_bytes", summary.text_bytes},
      {"tokens",
       {{"in", summary.tokens.in},
        {"packed", summary.tokens.out},
        {"delivered", summary.delivered_tokens},
        {"dropped", summary.tokens.dropped},
        {"padded", summary.tokens.padded},
        {"repeated", summary.tokens.repeated}}},
      {"batches", summary.batches},
      {"rates",
       {{"tokens_per_second", per_second(static_cast<double>(summary.new_tokens()), wall)},
        {"text_bytes_per_second", per_second(static_cast<double>(summary.text_bytes), wall)},
        {"input_bytes_per_second", per_second(static_cast<double>(summary.input_bytes), wall)}}},
      {"stages", stages_json(summary)},
      {"limit", limit_json(summary)},
      {"sinks", sinks_json(summary)}};
  // Paths and error texts may hold bytes that are not UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace penstock
