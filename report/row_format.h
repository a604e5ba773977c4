#pragma once

#include <string>

#include "report/run_data.h"

namespace penstock {

// Rows as lines of the files of a run folder; no line break behind them. See json_number().

std::string metrics_json(const MetricsRow& row);
std::string occupancy_json(const OccupancyRow& row);
std::string sample_json(const TextSample& sample);

std::string metrics_csv_head();
std::string metrics_csv(const MetricsRow& row);  // an unknown figure is an empty field

// The way back. Throws std::runtime_error where a line is no such row.
MetricsRow parse_metrics(const std::string& line);
OccupancyRow parse_occupancy(const std::string& line);
TextSample parse_sample(const std::string& line);

}  // namespace penstock
