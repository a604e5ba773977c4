#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gpu/device.h"
#include "gpu/device_choice.h"
#include "gpu/device_profiler.h"
#include "gpu/device_stage.h"
#include "pipeline/metrics.h"
#include "pipeline/sink.h"

namespace penstock::gpu {

// The sink in front of a device. A device thread of its own makes the device, the slots and the
// stage, and is the only one that ever calls them. For each batch it takes the slots in turn: waits
// until the slot can be written, copies the batch into it, enqueues the copy and the stage's work,
// completes the batch (its bytes can be used again), and goes on. So the host works on batch
// n + 2 while batch n + 1 is being copied and batch n computes. What waits in front of the feeder
// is bounded by the byte credits that the waiting batches hold. Every `report_every` batches it
// asks the stage for a report, and passes on the ones that have come back, with the figure
// `peak_flops` where that of the device is known; and likewise for its state behind each batch that
// a checkpoint is due behind.
//
// An error of the device, one that disappeared included, ends the device thread; the batches that
// wait, and those that come, are failed with it.
class DeviceFeeder final : public Sink {
 public:
  // The functions are called by the device thread.
  struct Setup {
    std::function<ChosenDevice()> open_device;
    std::string stage_name;    // for errors
    std::string stage_plugin;  // for errors: the plug-in that it comes from; may be empty
    std::function<std::unique_ptr<DeviceStage>(Device&)> make_stage;
    // May be empty or give none.
    std::function<std::unique_ptr<DeviceProfiler>(Device&)> make_profiler;
    BatchShape shape;
    int num_slots = 2;
    std::int64_t report_every = 0;  // batches of the stream; 0: never
    std::function<void(const Report&)> on_report;
  };

  // Returns when the device is ready. Throws what open_device threw, and a StageError with the
  // cause nested inside where slots or stage could not be made. `metrics` outlives the feeder; the
  // device thread's busy time is added to it.
  DeviceFeeder(Setup setup, StageMetrics& metrics);
  ~DeviceFeeder() override;

  void consume(std::shared_ptr<const Batch> batch, Completion done) override;
  void finish() override;
  void cancel() noexcept override;
  bool saves() const override { return saves_; }
  std::vector<Result> results() const override { return results_; }

 private:
  using Waiting = std::pair<std::shared_ptr<const Batch>, Completion>;
  // What the device thread owns.
  struct Session {
    ChosenDevice chosen;
    std::vector<std::unique_ptr<StagingSlot>> slots;
    std::unique_ptr<DeviceStage> stage;
    std::unique_ptr<DeviceProfiler> profiler;
    std::optional<double> peak_flops;
    std::size_t next_slot = 0;
    std::int64_t num_batches = 0;
    std::int64_t num_tokens = 0;
    // Of which the stage's state is on its way to the host.
    std::shared_ptr<PendingCheckpoint> saving;
  };

  void run_device_thread(std::promise<DeviceStage*> ready);
  Session open_session();
  void prepare(Session& session) const;
  // Waits for a batch; nothing when there will be none.
  std::optional<Waiting> next_waiting();
  void process(Session& session, Waiting waiting);
  void run(Session& session, const Batch& batch) const;
  void pass_on_reports(Session& session) const;
  void begin_save(Session& session, const Batch& batch) const;
  void pass_on_save(Session& session) const;
  std::optional<Report> next_report(Session& session) const;
  std::vector<Result> close(Session& session) const;
  static std::vector<Result> profile(Session& session);
  // Fails what waits, and what will be consumed.
  void fail(std::exception_ptr error);
  void end_device_thread();
  bool is_cancelled();
  // Throws a StageError with the exception that is being handled nested inside.
  [[noreturn]] void throw_failure(const Session& session, const std::string& point) const;

  Setup setup_;  // of the device thread
  StageMetrics& metrics_;
  std::vector<Result> results_;   // written by the device thread before it ends
  DeviceStage* stage_ = nullptr;  // of the device thread; for hand_over alone
  bool saves_ = false;            // constant after construction

  std::mutex mutex_;
  std::condition_variable changed_;
  // Protected by mutex_.
  std::deque<Waiting> queue_;
  std::exception_ptr error_;  // of the device thread
  bool ended_ = false;        // nothing will be consumed any more
  bool cancelled_ = false;

  std::thread device_thread_;  // last: it uses everything above
};

}  // namespace penstock::gpu
