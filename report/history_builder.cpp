#include "report/history_builder.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <variant>

#include "report/stretch.h"

namespace penstock {
namespace {

constexpr double kLeastSeconds = 0.05;
constexpr double kLeastShare = 1e-3;

const Result* find(const std::vector<Result>& figures, std::string_view name) {
  const auto found = std::find_if(
      figures.begin(), figures.end(), [&](const Result& figure) { return figure.name == name; });
  return found == figures.end() ? nullptr : &*found;
}

// NaN where there is no such number.
double number(const std::vector<Result>& figures, std::string_view name) {
  const Result* figure = find(figures, name);
  if (figure == nullptr) {
    return MetricsRow::kUnknown;
  }
  if (const auto* integer = std::get_if<std::int64_t>(&figure->value)) {
    return static_cast<double>(*integer);
  }
  const auto* real = std::get_if<double>(&figure->value);
  return real != nullptr ? *real : MetricsRow::kUnknown;
}

std::string text(const std::vector<Result>& figures, std::string_view name) {
  const Result* figure = find(figures, name);
  const auto* value = figure != nullptr ? std::get_if<std::string>(&figure->value) : nullptr;
  return value != nullptr ? *value : std::string();
}

double or_else(double value, double other) {
  return std::isnan(value) ? other : value;
}

bool is_sample(const ToldFigures& told) {
  const Result* predicted = find(told.figures, "predicted");
  return predicted != nullptr && std::holds_alternative<std::string>(predicted->value);
}

TextSample sample_of(const ToldFigures& told) {
  return {static_cast<std::int64_t>(
              or_else(number(told.figures, "step"), static_cast<double>(told.num_batches))),
          text(told.figures, "prompt"),
          text(told.figures, "predicted"),
          text(told.figures, "reference")};
}

// Clocks are read one after the other, so a share can come out a little above 1.
double share(double part, double whole) {
  return std::clamp(part / whole, 0.0, 1.0);
}

OccupancyRow occupancy_of(const RunSummary& stretch) {
  OccupancyRow row;
  row.seconds = stretch.wall_seconds;
  row.limiting_stage = stretch.limiting_stage;
  double busy_seconds = 0;
  for (const StageSummary& stage : stretch.stages) {
    const double on_pool = share(stage.busy_seconds, stretch.wall_seconds * stage.width);
    const double on_own_thread = share(stage.own_thread_seconds, stretch.wall_seconds);
    row.stages.push_back({stage.name, std::max(on_pool, on_own_thread), on_own_thread > on_pool});
    busy_seconds += stage.busy_seconds;
  }
  row.threads_busy = share(busy_seconds, stretch.wall_seconds * stretch.threads);
  if (!stretch.stages.empty()) {
    const StageSummary& source = stretch.stages.front();
    row.reading_blocked = share(source.blocked_seconds, stretch.wall_seconds * source.width);
  }
  return row;
}

}  // namespace

RunData HistoryBuilder::add(const RunSummary& progress,
                            const std::vector<ToldFigures>& figures,
                            const DeviceClock::Reading& device,
                            std::int64_t now_ns,
                            bool is_last) {
  RunData added;
  latest_ = progress;
  has_figures_ = has_figures_ || !figures.empty();
  const double passed = progress.wall_seconds - before_.wall_seconds;
  const bool is_due =
      passed >= std::max(kLeastSeconds, kLeastShare * progress.wall_seconds) || is_last;
  if (passed > 0 && is_due) {
    add_stretch(progress, device, added);
  }
  for (const ToldFigures& told : figures) {
    if (is_sample(told)) {
      added.samples.push_back(sample_of(told));
    } else {
      added.metrics.push_back(row_of(told, now_ns));
    }
  }
  return added;
}

void HistoryBuilder::add_stretch(const RunSummary& progress,
                                 const DeviceClock::Reading& device,
                                 RunData& added) {
  const RunSummary stretch = stretch_between(before_, progress);
  gpu_busy_ = DeviceClock::busy_share(device_before_, device);
  // What is left at the end is too short to tell a rate by itself.
  const RunSummary rated =
      stretch.wall_seconds < kLeastSeconds ? stretch_between(earlier_before_, progress) : stretch;
  tokens_per_second_ = static_cast<double>(rated.delivered_tokens) / rated.wall_seconds;
  limiting_stage_ = stretch.limiting_stage;
  OccupancyRow row = occupancy_of(stretch);
  row.time = options_.earlier_seconds + progress.wall_seconds;
  row.gpu_busy = gpu_busy_;
  added.occupancy.push_back(std::move(row));
  if (!has_figures_) {
    added.metrics.push_back(row_of_progress());
  }
  earlier_before_ = std::exchange(before_, progress);
  device_before_ = device;
}

MetricsRow HistoryBuilder::row_of_progress() {
  MetricsRow row;
  row.time = options_.earlier_seconds + latest_.wall_seconds;
  row.tokens = static_cast<double>(latest_.delivered_tokens);
  row.tokens_per_second = tokens_per_second_;
  row.gpu_busy = gpu_busy_;
  row.cpu_cores = cpu_cores_of_row();
  row.limiting_stage = limiting_stage_;
  return row;
}

// Since the row before; where that was made too lately to tell, since the one before it.
double HistoryBuilder::cpu_cores_of_row() {
  const ProcessorTime now{latest_.wall_seconds, latest_.cpu_seconds};
  if (now.wall_seconds - cpu_before_.wall_seconds >= kLeastSeconds) {
    cpu_earlier_before_ = std::exchange(cpu_before_, now);
  }
  return (now.cpu_seconds - cpu_earlier_before_.cpu_seconds) /
         (now.wall_seconds - cpu_earlier_before_.wall_seconds);
}

// How many of the tokens that this first row tells of came before the run, which goes on from a
// checkpoint. A sink without a state of its own counts only those of the run: batches too, so that
// it has not come to those of the checkpoint.
double HistoryBuilder::tokens_before_run(const ToldFigures& told) const {
  if (!latest_.resumed || told.num_batches <= latest_.resumed->next_batch) {
    return 0;
  }
  const bool tells_tokens = !std::isnan(number(told.figures, "tokens"));
  return tells_tokens
             ? static_cast<double>(latest_.resumed->account.out)
             : options_.tokens_per_batch * static_cast<double>(latest_.resumed->next_batch);
}

MetricsRow HistoryBuilder::row_of(const ToldFigures& told, std::int64_t now_ns) {
  MetricsRow row = row_of_progress();
  row.step = static_cast<double>(told.num_batches);
  row.time -= std::min(static_cast<double>(now_ns - told.time_ns) * 1e-9, latest_.wall_seconds);
  row.tokens = options_.tokens_per_batch * row.step;
  row.tokens_per_second = MetricsRow::kUnknown;
  for (const MetricsColumn& column : kMetricsColumns) {
    row.*column.value = or_else(number(told.figures, column.name), row.*column.value);
  }
  const double seconds = row.time - (told_before_ ? told_before_->time : options_.earlier_seconds);
  if (seconds > 0) {
    const double tokens =
        row.tokens - (told_before_ ? or_else(told_before_->tokens, 0) : tokens_before_run(told));
    row.tokens_per_second = or_else(row.tokens_per_second, tokens / seconds);
  }
  row.perplexity = or_else(row.perplexity, std::exp(row.loss));
  const double flops = row.tokens_per_second * number(told.figures, "flops_per_token");
  row.mfu = or_else(row.mfu, flops / number(told.figures, "peak_flops"));
  told_before_ = row;
  return row;
}

}  // namespace penstock
