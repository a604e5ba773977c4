#include "report/run_recorder.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "pipeline/errors.h"
#include "pipeline/span.h"

namespace penstock {
namespace {

constexpr std::chrono::milliseconds kPeriod{50};
constexpr std::int64_t kSyncPeriodNs = 5'000'000'000;

double end_time(const RunData& data) {
  return std::max(data.metrics.empty() ? 0 : data.metrics.back().time,
                  data.occupancy.empty() ? 0 : data.occupancy.back().time);
}

double tokens_per_batch(const Pipeline& pipeline) {
  const std::optional<BatchShape>& shape = pipeline.stream().batch_shape;
  return shape ? static_cast<double>(shape->positions()) : MetricsRow::kUnknown;
}

template <typename Row>
void append(std::vector<Row>& rows, const std::vector<Row>& added) {
  rows.insert(rows.end(), added.begin(), added.end());
}

template <typename Row>
std::vector<Row> rows_from(const std::vector<Row>& rows, std::size_t first) {
  return {rows.begin() + static_cast<std::ptrdiff_t>(std::min(first, rows.size())), rows.end()};
}

}  // namespace

RunRecorder::RunRecorder(Pipeline& pipeline, const std::optional<RunFolder>& folder, RunData kept)
    : pipeline_(pipeline),
      inbox_(std::make_shared<FiguresInbox>()),
      device_clock_(std::make_shared<DeviceClock>()),
      builder_({pipeline.has_figures(), tokens_per_batch(pipeline), end_time(kept)}),
      data_(std::move(kept)) {
  if (folder) {
    writer_.emplace(*folder, data_);
  }
  pipeline.listen(inbox_);
  pipeline.listen(std::shared_ptr<SpanListener>(device_clock_));
}

void RunRecorder::start() {
  calls_.emplace(kPeriod, [this] { record(false); });
}

void RunRecorder::stop() {
  calls_->stop();
  record(true);
}

std::string RunRecorder::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void RunRecorder::look(const std::function<void(const RunData&)>& look) const {
  const std::lock_guard lock(mutex_);
  look(data_);
}

RunData RunRecorder::since(const Position& position) const {
  const std::lock_guard lock(mutex_);
  return {rows_from(data_.metrics, position.metrics),
          rows_from(data_.occupancy, position.occupancy),
          rows_from(data_.samples, position.samples)};
}

void RunRecorder::record(bool is_last) {
  const std::vector<ToldFigures> figures = inbox_->take();
  const RunData added =
      builder_.add(pipeline_.progress(), figures, device_clock_->read(), now_ns(), is_last);
  if (added.is_empty() && !is_last) {
    return;
  }
  std::string problem = write(added, is_last);
  const std::lock_guard lock(mutex_);
  append(data_.metrics, added.metrics);
  append(data_.occupancy, added.occupancy);
  append(data_.samples, added.samples);
  if (!problem.empty()) {
    problem_ = std::move(problem);
  }
}

std::string RunRecorder::write(const RunData& added, bool is_last) {
  if (!writer_) {
    return "";
  }
  try {
    writer_->append(added);
    if (is_last || now_ns() - synced_ns_ >= kSyncPeriodNs) {
      writer_->sync();
      synced_ns_ = now_ns();
    }
  } catch (const std::exception& error) {
    writer_.reset();
    return "the history of the run ends early: " + full_message(error);
  }
  return "";
}

}  // namespace penstock
