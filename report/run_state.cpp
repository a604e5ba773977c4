#include "report/run_state.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include <simdjson.h>

#include "pipeline/errors.h"

namespace penstock {
namespace {

using simdjson::dom::element;

std::string text(const simdjson::simdjson_result<element>& value) {
  std::string_view found;
  return value.get(found) == simdjson::SUCCESS ? std::string(found) : std::string();
}

double number(const simdjson::simdjson_result<element>& value) {
  double found = 0;
  return value.get(found) == simdjson::SUCCESS ? found : MetricsRow::kUnknown;
}

double number_or_0(const simdjson::simdjson_result<element>& value) {
  const double found = number(value);
  return std::isnan(found) ? 0 : found;
}

std::string device_of(const element& summary) {
  for (const element sink : summary["sinks"].get_array()) {
    std::string device = text(sink["results"]["device"]);
    if (!device.empty()) {
      return device;
    }
  }
  return {};
}

RunState state_from(const element& summary) {
  RunState state;
  state.config = text(summary["config"]);
  state.status = text(summary["status"]);
  state.error = text(summary["error"]);
  for (const element warning : summary["warnings"].get_array()) {
    state.warnings.emplace_back(warning.get_string().value());
  }
  state.started_at = text(summary["started_at"]);
  state.device = device_of(summary);
  state.wall_seconds = number_or_0(summary["wall_seconds"]);
  state.threads = static_cast<int>(number_or_0(summary["threads"]));
  state.tokens = number(summary["tokens"]["delivered"]);
  state.share_done = number(summary["share_done"]);
  state.limiting_stage = text(summary["limit"]["stage"]);
  state.limit_reason = text(summary["limit"]["reason"]);
  return state;
}

std::string percent(double share) {
  return std::to_string(std::lround(share * 100)) + " %";
}

// "tokenize limited it for 83 % of the time, device for 12 %."
// Nothing where that is no news.
std::string limits_in_time(const std::vector<OccupancyRow>& occupancy,
                           const std::string& on_the_whole) {
  std::map<std::string, double> seconds;
  double all = 0;
  for (const OccupancyRow& row : occupancy) {
    seconds[row.limiting_stage] += row.seconds;
    all += row.seconds;
  }
  std::vector<std::pair<double, std::string>> limits;
  for (const auto& [name, time] : seconds) {
    if (!name.empty() && time >= 0.005 * all) {
      limits.emplace_back(time / all, name);
    }
  }
  std::sort(limits.rbegin(), limits.rend());
  if (limits.size() == 1 && limits.front().second == on_the_whole) {
    return {};
  }
  std::string sentence;
  for (const auto& [share, name] : limits) {
    if (sentence.empty()) {
      sentence = "As time went on, " + name + " limited it for " + percent(share) + " of the time";
    } else {
      sentence += ", " + name + " for " + percent(share);
    }
  }
  return sentence.empty() ? sentence : sentence + '.';
}

// What the GPU did, where a profiler told.
std::string gpu_sentence(const std::vector<OccupancyRow>& occupancy) {
  double busy = 0;
  double seconds = 0;
  for (const OccupancyRow& row : occupancy) {
    if (!std::isnan(row.gpu_busy)) {
      busy += row.gpu_busy * row.seconds;
      seconds += row.seconds;
    }
  }
  return seconds > 0 ? "The GPU computed for " + percent(busy / seconds) +
                           " of the time and waited for the rest of it."
                     : "";
}

}  // namespace

RunState state_of(const RunSummary& progress, const std::string& config) {
  RunState state;
  state.config = config;
  state.status = progress.finished ? "finished" : progress.stopped ? "stopped" : "running";
  state.warnings = progress.warnings;
  state.wall_seconds = progress.wall_seconds;
  state.threads = progress.threads;
  state.tokens = static_cast<double>(progress.delivered_tokens);
  state.share_done = progress.share_done().value_or(MetricsRow::kUnknown);
  state.limiting_stage = progress.limiting_stage;
  state.limit_reason = progress.limit_reason;
  return state;
}

RunState read_run_state(const RunFolder& folder) {
  const std::string path = folder.file(RunFolder::kSummary);
  if (!std::filesystem::exists(path)) {
    RunState state;
    state.status = "unknown";
    return state;
  }
  try {
    simdjson::dom::parser parser;
    const element summary = parser.load(path);
    return state_from(summary);
  } catch (const simdjson::simdjson_error& error) {
    throw FileError("'" + path + "' is no summary of a run: " + error.what());
  }
}

std::vector<std::string> verdict_of(const RunState& state,
                                    const std::vector<OccupancyRow>& occupancy) {
  std::vector<std::string> sentences;
  const auto add = [&](std::string sentence) {
    if (!sentence.empty()) {
      sentences.push_back(std::move(sentence));
    }
  };
  if (!state.limiting_stage.empty()) {
    add(state.limiting_stage + " limits the run: " + state.limit_reason + '.');
  }
  add(limits_in_time(occupancy, state.limiting_stage));
  add(gpu_sentence(occupancy));
  if (sentences.empty()) {
    add("Nothing is known yet of what limits the run.");
  }
  return sentences;
}

}  // namespace penstock
