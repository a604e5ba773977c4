#include "report/time_line.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace penstock {
namespace {

constexpr double kWorks = 0.5;

OccupancyRow merge(const OccupancyRow* begin, const OccupancyRow* end) {
  OccupancyRow merged = end[-1];
  merged.seconds = 0;
  merged.threads_busy = 0;
  merged.reading_blocked = 0;
  for (OccupancyRow::Stage& stage : merged.stages) {
    stage.busy = 0;
  }
  double gpu_busy_seconds = 0;
  double gpu_seconds = 0;
  std::map<std::string, double> limits;
  for (const OccupancyRow* row = begin; row != end; ++row) {
    merged.seconds += row->seconds;
    merged.threads_busy += row->threads_busy * row->seconds;
    merged.reading_blocked += row->reading_blocked * row->seconds;
    for (std::size_t i = 0; i < std::min(row->stages.size(), merged.stages.size()); ++i) {
      merged.stages[i].busy += row->stages[i].busy * row->seconds;
    }
    if (!std::isnan(row->gpu_busy)) {
      gpu_busy_seconds += row->gpu_busy * row->seconds;
      gpu_seconds += row->seconds;
    }
    limits[row->limiting_stage] += row->seconds;
  }
  const double seconds = std::max(merged.seconds, 1e-9);
  merged.threads_busy /= seconds;
  merged.reading_blocked /= seconds;
  for (OccupancyRow::Stage& stage : merged.stages) {
    stage.busy /= seconds;
  }
  merged.gpu_busy = gpu_seconds > 0 ? gpu_busy_seconds / gpu_seconds : MetricsRow::kUnknown;
  merged.limiting_stage =
      std::max_element(limits.begin(), limits.end(), [](const auto& left, const auto& right) {
        return left.second < right.second;
      })->first;
  return merged;
}

std::string state_of(const std::string& who, double busy, const std::string& limiting_stage) {
  if (who == limiting_stage) {
    return "limits";
  }
  if (busy >= kWorks) {
    return "works";
  }
  return limiting_stage.empty() ? "waits" : "waits for " + limiting_stage;
}

void add_segment(TimeLine::Row& row, const OccupancyRow& stretch, double busy) {
  const double begin = std::max(0.0, stretch.time - stretch.seconds);  // rounded
  std::string state = state_of(row.who, busy, stretch.limiting_stage);
  if (!row.segments.empty()) {
    TimeLine::Segment& last = row.segments.back();
    if (last.state == state && begin - last.end <= stretch.seconds) {
      const double before = last.end - last.begin;
      last.busy = (last.busy * before + busy * stretch.seconds) / (before + stretch.seconds);
      last.end = stretch.time;
      return;
    }
  }
  row.segments.push_back({begin, stretch.time, std::move(state), busy});
}

}  // namespace

std::vector<OccupancyRow> merge_occupancy(const std::vector<OccupancyRow>& rows,
                                          std::size_t max_rows) {
  if (rows.size() <= max_rows) {
    return rows;
  }
  std::vector<OccupancyRow> merged;
  for (std::size_t i = 0; i < max_rows; ++i) {
    merged.push_back(merge(rows.data() + rows.size() * i / max_rows,
                           rows.data() + rows.size() * (i + 1) / max_rows));
  }
  return merged;
}

TimeLine time_line_of(const std::vector<OccupancyRow>& rows) {
  TimeLine line;
  if (rows.empty()) {
    return line;
  }
  for (const OccupancyRow::Stage& stage : rows.front().stages) {
    line.rows.push_back({stage.name, {}});
  }
  TimeLine::Row gpu{"GPU", {}};
  for (const OccupancyRow& stretch : rows) {
    for (std::size_t i = 0; i < std::min(stretch.stages.size(), line.rows.size()); ++i) {
      add_segment(line.rows[i], stretch, stretch.stages[i].busy);
    }
    if (!std::isnan(stretch.gpu_busy)) {
      add_segment(gpu, stretch, stretch.gpu_busy);
    }
  }
  if (!gpu.segments.empty()) {
    line.rows.push_back(std::move(gpu));
  }
  return line;
}

}  // namespace penstock
