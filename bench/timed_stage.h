#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gpu/device_stage.h"

namespace penstock::bench {

// When a stage's kernels ran, by the device's clock.
struct StageTimes {
  std::int64_t num_batches = 0;
  std::int64_t num_tokens = 0;
  double milliseconds = 0;  // from before the first batch's kernels to behind the last one's
  // Of each pass of `batches_per_pass` batches, from the begin of one to the begin of the next.
  std::vector<double> pass_milliseconds;

  double ms_per_batch() const { return milliseconds / static_cast<double>(num_batches); }
};

// Passes everything on to a CUDA stage and records an event before each pass and behind each batch.
// The first `num_skipped` passes are not counted.
class TimedStage final : public gpu::DeviceStage {
 public:
  // `times` is filled by results() and outlives the stage.
  TimedStage(std::unique_ptr<gpu::DeviceStage> stage,
             std::int64_t batches_per_pass,
             std::int64_t num_skipped,
             StageTimes& times);
  ~TimedStage() override;

  void hand_over(const Batch& batch) override { stage_->hand_over(batch); }
  void enqueue(const gpu::DeviceBatch& batch, gpu::DeviceStream stream) override;
  void enqueue_report(gpu::DeviceStream stream) override { stage_->enqueue_report(stream); }
  std::optional<gpu::Report> next_report() override { return stage_->next_report(); }
  std::vector<Result> results() override;

 private:
  struct Events;

  const std::unique_ptr<gpu::DeviceStage> stage_;
  const std::int64_t batches_per_pass_;
  const std::int64_t num_skipped_;
  StageTimes& times_;
  const std::unique_ptr<Events> events_;
  std::int64_t num_enqueued_ = 0;
};

// The middle one; the mean of the two in the middle. NaN of none.
double median(std::vector<double> values);

}  // namespace penstock::bench
