#include "report/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace penstock {
namespace {

using Column = double MetricsRow::*;

std::vector<Point> points_of(const std::vector<MetricsRow>& rows,
                             Column x,
                             Column y,
                             std::size_t max_points) {
  std::vector<Point> points;
  for (const MetricsRow& row : rows) {
    if (std::isfinite(row.*x) && std::isfinite(row.*y)) {
      points.push_back({row.*x, row.*y});
    }
  }
  return decimate(points, max_points);
}

// Of charts whose x is no order of time: the order that the points came in is kept.
std::vector<Point> some_of(const std::vector<Point>& points, std::size_t max_points) {
  if (points.size() <= max_points) {
    return points;
  }
  std::vector<Point> kept;
  for (std::size_t i = 0; i < max_points; ++i) {
    kept.push_back(points[i * (points.size() - 1) / (max_points - 1)]);
  }
  return kept;
}

// Draws columns of the metrics.
class MetricsCharts {
 public:
  MetricsCharts(const std::vector<MetricsRow>& rows, Axis axis, std::size_t max_points)
      : rows_(rows), axis_(axis), max_points_(max_points) {}

  Chart chart(std::string id,
              std::string title,
              std::string y_label,
              Chart::Unit unit,
              const std::vector<std::pair<const char*, Column>>& columns) const {
    const bool has_steps = axis_ == Axis::kStep;
    Chart chart{std::move(id),
                std::move(title),
                has_steps ? "step" : "seconds",
                std::move(y_label),
                unit,
                false,
                {}};
    for (const auto& [name, column] : columns) {
      chart.series.push_back(
          {name,
           points_of(
               rows_, has_steps ? &MetricsRow::step : &MetricsRow::time, column, max_points_)});
    }
    return chart;
  }

  Chart loss_against_accuracy() const {
    Chart chart{"loss_accuracy",
                "Loss against accuracy",
                "loss",
                "accuracy",
                Chart::Unit::kShare,
                true,
                {}};
    const std::vector<Point> points =
        points_of(rows_, &MetricsRow::loss, &MetricsRow::accuracy, rows_.size() + 4);
    chart.series.push_back({"accuracy", some_of(points, max_points_)});
    return chart;
  }

 private:
  const std::vector<MetricsRow>& rows_;
  const Axis axis_;
  const std::size_t max_points_;
};

Chart occupancy_chart(const std::vector<OccupancyRow>& rows, std::size_t max_points) {
  Chart chart{"occupancy",
              "Stage occupancy",
              "seconds",
              "share of the time of its threads",
              Chart::Unit::kShare,
              false,
              {}};
  if (rows.empty()) {
    return chart;
  }
  for (std::size_t stage = 0; stage < rows.front().stages.size(); ++stage) {
    std::vector<Point> points;
    for (const OccupancyRow& row : rows) {
      if (stage < row.stages.size()) {
        points.push_back({row.time, row.stages[stage].busy});
      }
    }
    chart.series.push_back({rows.front().stages[stage].name, decimate(points, max_points)});
  }
  return chart;
}

// NaN where nothing is known.
double mean_of(const std::vector<double>& values, std::size_t first) {
  double sum = 0;
  for (std::size_t i = first; i < values.size(); ++i) {
    sum += values[i];
  }
  return sum / static_cast<double>(values.size() - first);
}

}  // namespace

Axis axis_of(const std::vector<MetricsRow>& metrics) {
  const bool has_steps = std::any_of(metrics.begin(), metrics.end(), [](const MetricsRow& row) {
    return std::isfinite(row.step);
  });
  return has_steps ? Axis::kStep : Axis::kTime;
}

std::vector<Chart> charts_of(const RunData& data, Axis axis, std::size_t max_points) {
  using Unit = Chart::Unit;
  const MetricsCharts metrics(data.metrics, axis, max_points);
  return {
      metrics.chart("loss",
                    "Loss",
                    "nats",
                    Unit::kNumber,
                    {{"loss", &MetricsRow::loss}, {"evaluation loss", &MetricsRow::eval_loss}}),
      metrics.chart("accuracy",
                    "Accuracy",
                    "share of the tokens",
                    Unit::kShare,
                    {{"accuracy", &MetricsRow::accuracy}}),
      metrics.chart("throughput",
                    "Throughput",
                    "tokens per second",
                    Unit::kNumber,
                    {{"tokens per second", &MetricsRow::tokens_per_second}}),
      metrics.chart("learning_rate",
                    "Learning rate",
                    "learning rate",
                    Unit::kNumber,
                    {{"learning rate", &MetricsRow::learning_rate}}),
      metrics.loss_against_accuracy(),
      metrics.chart("gradient_norm",
                    "Gradient norm",
                    "norm before clipping",
                    Unit::kNumber,
                    {{"gradient norm", &MetricsRow::gradient_norm}}),
      occupancy_chart(data.occupancy, max_points),
      metrics.chart("gpu",
                    "GPU",
                    "share",
                    Unit::kShare,
                    {{"busy share of the time", &MetricsRow::gpu_busy}, {"MFU", &MetricsRow::mfu}}),
      metrics.chart("gpu_memory",
                    "GPU memory",
                    "in use",
                    Unit::kBytes,
                    {{"GPU memory", &MetricsRow::gpu_memory}}),
      metrics.chart("cpu_cores",
                    "CPU cores used",
                    "cores",
                    Unit::kNumber,
                    {{"cores", &MetricsRow::cpu_cores}}),
  };
}

std::vector<Standing> standings_of(const std::vector<MetricsRow>& metrics) {
  constexpr std::array<std::pair<const char*, Column>, 3> kColumns = {{
      {"loss", &MetricsRow::loss},
      {"accuracy", &MetricsRow::accuracy},
      {"tokens per second", &MetricsRow::tokens_per_second},
  }};
  std::vector<Standing> standings;
  for (const auto& [name, column] : kColumns) {
    std::vector<double> values;
    for (const MetricsRow& row : metrics) {
      if (std::isfinite(row.*column)) {
        values.push_back(row.*column);
      }
    }
    if (!values.empty()) {
      const std::size_t recent = (values.size() + 9) / 10;
      standings.push_back({name, mean_of(values, values.size() - recent), mean_of(values, 0)});
    }
  }
  return standings;
}

}  // namespace penstock
