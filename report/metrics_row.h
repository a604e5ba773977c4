#pragma once

#include <array>
#include <limits>
#include <string>

namespace penstock {

// One row of metrics_history.json. NaN where a figure is not known.
struct MetricsRow {
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

  double step = kUnknown;
  double time = 0;  // seconds since the run began; those of runs that it continues included
  double tokens = kUnknown;
  double loss = kUnknown;
  double accuracy = kUnknown;
  double perplexity = kUnknown;
  double eval_loss = kUnknown;
  double learning_rate = kUnknown;
  double gradient_norm = kUnknown;
  double tokens_per_second = kUnknown;
  double mfu = kUnknown;         // model FLOP/s as a share of the device's peak
  double gpu_busy = kUnknown;    // share of the time
  double gpu_memory = kUnknown;  // bytes
  double cpu_cores = kUnknown;   // processor time over time
  std::string limiting_stage;    // or memory_limit; empty where nothing is known yet
};

// A column with a number; the last column of a row, limiting_stage, is text.
struct MetricsColumn {
  const char* name;
  double MetricsRow::*value;
};
constexpr std::array<MetricsColumn, 14> kMetricsColumns = {{
    {"step", &MetricsRow::step},
    {"time", &MetricsRow::time},
    {"tokens", &MetricsRow::tokens},
    {"loss", &MetricsRow::loss},
    {"accuracy", &MetricsRow::accuracy},
    {"perplexity", &MetricsRow::perplexity},
    {"eval_loss", &MetricsRow::eval_loss},
    {"learning_rate", &MetricsRow::learning_rate},
    {"gradient_norm", &MetricsRow::gradient_norm},
    {"tokens_per_second", &MetricsRow::tokens_per_second},
    {"mfu", &MetricsRow::mfu},
    {"gpu_busy", &MetricsRow::gpu_busy},
    {"gpu_memory", &MetricsRow::gpu_memory},
    {"cpu_cores", &MetricsRow::cpu_cores},
}};

}  // namespace penstock
