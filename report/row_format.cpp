#include "report/row_format.h"

#include <charconv>
#include <cmath>
#include <stdexcept>
#include <string_view>

#include <simdjson.h>

#include "report/json_text.h"

namespace penstock {
namespace {

std::string member(std::string_view name, const std::string& value) {
  return '"' + std::string(name) + "\":" + value;
}

// Text of a CSV field, RFC 4180.
std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string quoted = "\"";
  for (const char character : text) {
    quoted += character == '"' ? "\"\"" : std::string(1, character);
  }
  return quoted + '"';
}

std::string limiting_stage_json(const std::string& name) {
  return member("limiting_stage", name.empty() ? "null" : json_string(name));
}

// Reads a line and gives the object to `read`.
template <typename Read>
auto parse_line(const std::string& line, const Read& read) {
  thread_local simdjson::dom::parser parser;
  try {
    const simdjson::dom::object object = parser.parse(line);
    return read(object);
  } catch (const simdjson::simdjson_error& error) {
    throw std::runtime_error(std::string("not a row: ") + error.what());
  }
}

// A key that is missing or null is not known.
double number(const simdjson::dom::object& object, std::string_view key) {
  double value = MetricsRow::kUnknown;
  const simdjson::error_code error = object[key].get(value);
  return error == simdjson::SUCCESS ? value : MetricsRow::kUnknown;
}

double number_or_0(const simdjson::dom::object& object, std::string_view key) {
  const double value = number(object, key);
  return std::isnan(value) ? 0 : value;
}

std::string text(const simdjson::dom::object& object, std::string_view key) {
  std::string_view value;
  const simdjson::error_code error = object[key].get(value);
  return error == simdjson::SUCCESS ? std::string(value) : std::string();
}

}  // namespace

std::string metrics_json(const MetricsRow& row) {
  std::string line = "{";
  for (const MetricsColumn& column : kMetricsColumns) {
    line += member(column.name, json_number(row.*column.value)) + ',';
  }
  return line + limiting_stage_json(row.limiting_stage) + '}';
}

std::string occupancy_json(const OccupancyRow& row) {
  std::string line = '{' + member("time", json_number(row.time)) + ',' +
                     member("seconds", json_number(row.seconds)) + ',' +
                     member("threads_busy", json_number(row.threads_busy)) + ',' +
                     member("reading_blocked", json_number(row.reading_blocked)) + ',' +
                     member("gpu_busy", json_number(row.gpu_busy)) + ',' +
                     limiting_stage_json(row.limiting_stage) + ",\"stages\":[";
  for (const OccupancyRow::Stage& stage : row.stages) {
    line += line.back() == '[' ? "{" : ",{";
    line += member("name", json_string(stage.name)) + ',' +
            member("busy", json_number(stage.busy)) + ',' +
            member("own_thread", stage.has_own_thread ? "true" : "false") + '}';
  }
  return line + "]}";
}

std::string sample_json(const TextSample& sample) {
  return '{' + member("step", std::to_string(sample.step)) + ',' +
         member("prompt", json_string(sample.prompt)) + ',' +
         member("predicted", json_string(sample.predicted)) + ',' +
         member("reference", json_string(sample.reference)) + '}';
}

std::string metrics_csv_head() {
  std::string line;
  for (const MetricsColumn& column : kMetricsColumns) {
    line += std::string(column.name) + ',';
  }
  return line + "limiting_stage";
}

std::string metrics_csv(const MetricsRow& row) {
  std::string line;
  for (const MetricsColumn& column : kMetricsColumns) {
    const double value = row.*column.value;
    line += (std::isfinite(value) ? json_number(value) : std::string()) + ',';
  }
  return line + csv_text(row.limiting_stage);
}

MetricsRow parse_metrics(const std::string& line) {
  return parse_line(line, [](const simdjson::dom::object& object) {
    MetricsRow row;
    for (const MetricsColumn& column : kMetricsColumns) {
      row.*column.value = number(object, column.name);
    }
    row.time = number_or_0(object, "time");
    row.limiting_stage = text(object, "limiting_stage");
    return row;
  });
}

OccupancyRow parse_occupancy(const std::string& line) {
  return parse_line(line, [](const simdjson::dom::object& object) {
    OccupancyRow row;
    row.time = number_or_0(object, "time");
    row.seconds = number_or_0(object, "seconds");
    row.threads_busy = number_or_0(object, "threads_busy");
    row.reading_blocked = number_or_0(object, "reading_blocked");
    row.gpu_busy = number(object, "gpu_busy");
    row.limiting_stage = text(object, "limiting_stage");
    for (const simdjson::dom::element element : simdjson::dom::array(object["stages"])) {
      const simdjson::dom::object stage = element;
      row.stages.push_back(
          {text(stage, "name"), number_or_0(stage, "busy"), bool(stage["own_thread"])});
    }
    return row;
  });
}

TextSample parse_sample(const std::string& line) {
  return parse_line(line, [](const simdjson::dom::object& object) {
    return TextSample{static_cast<std::int64_t>(number_or_0(object, "step")),
                      text(object, "prompt"),
                      text(object, "predicted"),
                      text(object, "reference")};
  });
}

}  // namespace penstock
