#include "report/page_data.h"

#include <utility>

#include "report/json_text.h"
#include "report/time_line.h"

namespace penstock {
namespace {

// A screen has fewer columns of pixels.
constexpr std::size_t kMaxPoints = 2000;
constexpr std::size_t kMaxStretches = 300;

std::string member(const char* name, const std::string& value) {
  return '"' + std::string(name) + "\":" + value;
}

// Of a container's elements, each made into JSON by `format`.
template <typename Elements, typename Format>
std::string array(const Elements& elements, const Format& format) {
  std::string text = "[";
  for (const auto& element : elements) {
    text += (text.size() > 1 ? "," : "") + format(element);
  }
  return text + ']';
}

std::string state_json(const RunState& state) {
  return '{' + member("config", json_string(state.config)) + ',' +
         member("status", json_string(state.status)) + ',' +
         member("error", json_string(state.error)) + ',' +
         member("warnings", array(state.warnings, json_string)) + ',' +
         member("started_at", json_string(state.started_at)) + ',' +
         member("device", json_string(state.device)) + ',' +
         member("wall_seconds", json_number(state.wall_seconds)) + ',' +
         member("threads", std::to_string(state.threads)) + ',' +
         member("tokens", json_number(state.tokens)) + ',' +
         member("share_done", json_number(state.share_done)) + ',' +
         member("limiting_stage", json_string(state.limiting_stage)) + '}';
}

std::string latest_json(const MetricsRow& row) {
  std::string text = "{";
  for (const MetricsColumn& column : kMetricsColumns) {
    text += (text.size() > 1 ? "," : "") + member(column.name, json_number(row.*column.value));
  }
  return text + '}';
}

std::string series_json(const Chart::Series& series) {
  return '{' + member("name", json_string(series.name)) + ',' +
         member("x", array(series.points, [](Point point) { return json_number(point.x); })) + ',' +
         member("y", array(series.points, [](Point point) { return json_number(point.y); })) + '}';
}

const char* unit_name(Chart::Unit unit) {
  switch (unit) {
    case Chart::Unit::kNumber:
      return "\"number\"";
    case Chart::Unit::kShare:
      return "\"share\"";
    case Chart::Unit::kBytes:
      return "\"bytes\"";
  }
  return "\"number\"";
}

std::string chart_json(const Chart& chart) {
  return '{' + member("id", json_string(chart.id)) + ',' +
         member("title", json_string(chart.title)) + ',' +
         member("x_label", json_string(chart.x_label)) + ',' +
         member("y_label", json_string(chart.y_label)) + ',' +
         member("unit", unit_name(chart.unit)) + ',' +
         member("scatter", chart.is_scatter ? "true" : "false") + ',' +
         member("series", array(chart.series, series_json)) + '}';
}

std::string segment_json(const TimeLine::Segment& segment) {
  return '{' + member("begin", json_number(segment.begin)) + ',' +
         member("end", json_number(segment.end)) + ',' +
         member("state", json_string(segment.state)) + ',' +
         member("busy", json_number(segment.busy)) + '}';
}

std::string time_line_json(const TimeLine& line) {
  return array(line.rows, [](const TimeLine::Row& row) {
    return '{' + member("who", json_string(row.who)) + ',' +
           member("segments", array(row.segments, segment_json)) + '}';
  });
}

std::string standing_json(const Standing& standing) {
  return '{' + member("name", json_string(standing.name)) + ',' +
         member("recent", json_number(standing.recent)) + ',' +
         member("mean", json_number(standing.mean)) + '}';
}

std::string sample_json(const TextSample& sample) {
  return '{' + member("step", std::to_string(sample.step)) + ',' +
         member("prompt", json_string(sample.prompt)) + ',' +
         member("predicted", json_string(sample.predicted)) + ',' +
         member("reference", json_string(sample.reference)) + '}';
}

std::string position_json(const RunRecorder::Position& position) {
  return '{' + member("metrics", std::to_string(position.metrics)) + ',' +
         member("occupancy", std::to_string(position.occupancy)) + ',' +
         member("samples", std::to_string(position.samples)) + '}';
}

}  // namespace

std::string page_json(const PageData& page) {
  RunData shown = page.data;
  shown.occupancy = merge_occupancy(shown.occupancy, kMaxStretches);
  return '{' + member("live", page.is_live ? "true" : "false") + ',' +
         member("state", state_json(page.state)) + ',' +
         member("verdict", array(page.verdict, json_string)) + ',' +
         member("latest", latest_json(page.latest)) + ',' +
         member("standings", array(page.standings, standing_json)) + ',' +
         member("charts", array(charts_of(shown, page.axis, kMaxPoints), chart_json)) + ',' +
         member("time_line", time_line_json(time_line_of(shown.occupancy))) + ',' +
         member("samples", array(shown.samples, sample_json)) + ',' +
         member("position", position_json(page.position)) + '}';
}

PageData page_of(const RunState& state, RunData data) {
  PageData page;
  page.state = state;
  page.verdict = verdict_of(state, data.occupancy);
  page.standings = standings_of(data.metrics);
  if (!data.metrics.empty()) {
    page.latest = data.metrics.back();
  }
  page.axis = axis_of(data.metrics);
  page.position = {data.metrics.size(), data.occupancy.size(), data.samples.size()};
  page.data = std::move(data);
  return page;
}

}  // namespace penstock
