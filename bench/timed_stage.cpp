#include "bench/timed_stage.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "gpu/cuda/handles.h"

namespace penstock::bench {
struct TimedStage::Events {
  std::vector<gpu::Event> pass_begins;
  gpu::Event last_batch{gpu::Event::Timing::kRecorded};
};

TimedStage::TimedStage(std::unique_ptr<gpu::DeviceStage> stage,
                       std::int64_t batches_per_pass,
                       std::int64_t num_skipped,
                       StageTimes& times)
    : stage_(std::move(stage)),
      batches_per_pass_(batches_per_pass),
      num_skipped_(num_skipped),
      times_(times),
      events_(std::make_unique<Events>()) {}

TimedStage::~TimedStage() = default;

void TimedStage::enqueue(const gpu::DeviceBatch& batch, gpu::DeviceStream stream) {
  const auto cuda_stream = static_cast<cudaStream_t>(stream.handle);
  const bool counts = num_enqueued_ / batches_per_pass_ >= num_skipped_;
  if (counts && num_enqueued_ % batches_per_pass_ == 0) {
    events_->pass_begins.emplace_back(gpu::Event::Timing::kRecorded).record(cuda_stream);
  }
  stage_->enqueue(batch, stream);
  ++num_enqueued_;
  if (counts) {
    events_->last_batch.record(cuda_stream);
    ++times_.num_batches;
    times_.num_tokens += batch.num_tokens;
  }
}

std::vector<Result> TimedStage::results() {
  std::vector<Result> results = stage_->results();
  const std::vector<gpu::Event>& begins = events_->pass_begins;
  if (begins.empty()) {
    return results;
  }
  events_->last_batch.synchronize();
  times_.milliseconds = events_->last_batch.milliseconds_since(begins.front());
  for (std::size_t i = 1; i < begins.size(); ++i) {
    times_.pass_milliseconds.push_back(begins[i].milliseconds_since(begins[i - 1]));
  }
  if (num_enqueued_ % batches_per_pass_ == 0) {
    times_.pass_milliseconds.push_back(events_->last_batch.milliseconds_since(begins.back()));
  }
  return results;
}

double median(std::vector<double> values) {
  if (values.empty()) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace penstock::bench
