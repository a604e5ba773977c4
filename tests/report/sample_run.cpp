#include "tests/report/sample_run.h"

#include <cmath>

namespace penstock {
namespace {

MetricsRow row_at(int step, int steps) {
  const double done = static_cast<double>(step) / steps;
  MetricsRow row;
  row.step = step;
  row.time = step;
  row.tokens = 1024.0 * step;
  row.loss = 3 + 7 * std::exp(-4 * done);
  row.accuracy = 0.4 * done;
  row.perplexity = std::exp(row.loss);
  row.eval_loss = step % 10 == 0 ? row.loss + 0.1 : MetricsRow::kUnknown;
  row.learning_rate = 6e-4 * (1 - done);
  row.gradient_norm = 1;
  row.tokens_per_second = 1024;
  row.mfu = 0.4;
  row.gpu_busy = 0.99;
  row.gpu_memory = 40e9;
  row.cpu_cores = 1.5;
  row.limiting_stage = "device";
  return row;
}

OccupancyRow stretch_at(int second, int seconds) {
  const bool is_slow = second > seconds / 2 && second <= 3 * seconds / 4;
  OccupancyRow row;
  row.time = second;
  row.seconds = 1;
  row.threads_busy = is_slow ? 1 : 0.25;
  row.reading_blocked = is_slow ? 0 : 0.75;
  row.gpu_busy = is_slow ? 0.25 : 1;
  row.limiting_stage = is_slow ? "tokenize" : "device";
  row.stages = {{"read", 0.125, false},
                {"tokenize", is_slow ? 1.0 : 0.25, false},
                {"device", is_slow ? 0.25 : 1.0, true}};
  return row;
}

}  // namespace

RunData sample_run(int steps) {
  RunData data;
  for (int step = 1; step <= steps; ++step) {
    data.metrics.push_back(row_at(step, steps));
    data.occupancy.push_back(stretch_at(step, steps));
  }
  data.samples = {{steps / 2, "Once upon a time", "there was a pipeline", "there lived a king"},
                  {steps, "</script><script>alert(1)</script>", "<img src=x>", "\xff&amp;\""}};
  return data;
}

}  // namespace penstock
