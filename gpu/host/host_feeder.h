#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gpu/device_stage.h"
#include "pipeline/metrics.h"
#include "pipeline/sink.h"

namespace penstock::gpu {

// The sink in front of a device whose memory is the host's own: a device thread copies each batch
// into a staging slot, completes it (so its bytes can be used again), and runs the device stage on
// the copy while the pipeline works on the next batches. What waits here is bounded by the byte
// credits that the waiting batches hold.
class HostFeeder final : public Sink {
 public:
  // `metrics` outlives the feeder; the device thread's busy time is added to it.
  HostFeeder(std::unique_ptr<DeviceStage> stage, StageMetrics& metrics);
  ~HostFeeder() override;

  void consume(std::shared_ptr<const Batch> batch, Completion done) override;
  void finish() override;
  void cancel() override;
  std::vector<Result> results() const override { return results_; }

 private:
  using Waiting = std::pair<std::shared_ptr<const Batch>, Completion>;

  void run_device_thread();
  // Copies the batch into the slot and lets go of it; runs the stage on the copy.
  void process(Waiting waiting);
  void stop_device_thread();

  // The staging slot; used by the device thread alone.
  struct Slot {
    std::vector<TokenId> tokens;
    std::vector<std::int32_t> cu_seqlens;
  } slot_;

  const std::unique_ptr<DeviceStage> stage_;
  StageMetrics& metrics_;
  std::vector<Result> results_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Protected by mutex_.
  std::deque<Waiting> queue_;
  std::exception_ptr error_;  // of the stage, after its batch was completed
  bool closed_ = false;

  std::thread device_thread_;  // last: it uses everything above
};

}  // namespace penstock::gpu
