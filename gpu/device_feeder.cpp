#include "gpu/device_feeder.h"

#include <new>
#include <stdexcept>

#include "gpu/peak_flops.h"
#include "gpu/slot_wait.h"
#include "pipeline/errors.h"

namespace penstock::gpu {

DeviceFeeder::DeviceFeeder(Setup setup, StageMetrics& metrics)
    : setup_(std::move(setup)), metrics_(metrics) {
  std::promise<DeviceStage*> ready;
  std::future<DeviceStage*> stage = ready.get_future();
  device_thread_ = std::thread(
      [this, promise = std::move(ready)]() mutable { run_device_thread(std::move(promise)); });
  try {
    stage_ = stage.get();
    saves_ = stage_->saves();
  } catch (...) {
    device_thread_.join();
    throw;
  }
}

DeviceFeeder::~DeviceFeeder() {
  cancel();
  end_device_thread();
}

void DeviceFeeder::consume(std::shared_ptr<const Batch> batch, Completion done) {
  stage_->hand_over(*batch);
  std::unique_lock lock(mutex_);
  if (error_) {
    const std::exception_ptr error = error_;
    lock.unlock();  // a completion calls back
    done.fail(error);
    return;
  }
  if (cancelled_) {
    return;  // dropped, behind the lock: `done` is destroyed after `lock`
  }
  queue_.emplace_back(std::move(batch), std::move(done));
  lock.unlock();
  changed_.notify_one();
}

void DeviceFeeder::finish() {
  end_device_thread();
  if (error_) {
    std::rethrow_exception(error_);
  }
}

void DeviceFeeder::cancel() noexcept {
  std::deque<Waiting> dropped;  // destroyed without the lock: completions call back
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    dropped.swap(queue_);
  }
  changed_.notify_one();
}

void DeviceFeeder::end_device_thread() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_one();
  if (device_thread_.joinable()) {
    device_thread_.join();
  }
}

void DeviceFeeder::run_device_thread(std::promise<DeviceStage*> ready) {
  Session session;
  try {
    session = open_session();
  } catch (...) {
    ready.set_exception(std::current_exception());
    return;
  }
  ready.set_value(session.stage.get());
  try {
    while (std::optional<Waiting> waiting = next_waiting()) {
      process(session, *std::move(waiting));
    }
    if (!is_cancelled()) {
      results_ = close(session);
    }
  } catch (...) {
    fail(std::current_exception());
  }
  // Whatever ended the work: the stage is still handed batches until the feeder is told to end.
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ended_; });
}

DeviceFeeder::Session DeviceFeeder::open_session() {
  Session session;
  session.chosen = setup_.open_device();
  try {
    prepare(session);
  } catch (...) {
    std::throw_with_nested(
        StageError("device stage " + quoted_name(setup_.stage_name, setup_.stage_plugin) +
                   " cannot be prepared on " + session.chosen.device->describe()));
  }
  session.peak_flops = peak_flops(session.chosen.device->describe());
  // What they refer to may be gone from now on.
  setup_.open_device = nullptr;
  setup_.make_stage = nullptr;
  setup_.make_profiler = nullptr;
  return session;
}

void DeviceFeeder::prepare(Session& session) const {
  Device& device = *session.chosen.device;
  if (setup_.make_profiler) {
    session.profiler = setup_.make_profiler(device);
  }
  try {
    for (int i = 0; i < setup_.num_slots; ++i) {
      session.slots.push_back(device.make_slot(setup_.shape));
    }
    session.stage = setup_.make_stage(device);
  } catch (const std::bad_alloc&) {
    throw std::runtime_error(
        "out of host memory; lower batch_size, sequence_length, slots or the stage's own sizes");
  }
  if (session.profiler) {
    session.profiler->start();
  }
}

std::optional<DeviceFeeder::Waiting> DeviceFeeder::next_waiting() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return cancelled_ || ended_ || !queue_.empty(); });
  if (queue_.empty()) {
    return std::nullopt;
  }
  Waiting waiting = std::move(queue_.front());
  queue_.pop_front();
  return waiting;
}

void DeviceFeeder::process(Session& session, Waiting waiting) {
  auto& [batch, done] = waiting;
  // The wait for the device included: while it lasts, the device is what limits the run.
  const BusyTimer timer(metrics_.own_thread);
  try {
    run(session, *batch);
    pass_on_reports(session);
    pass_on_save(session);
  } catch (...) {
    done.fail(std::current_exception());
    throw;
  }
  batch.reset();
  done.done();
}

void DeviceFeeder::run(Session& session, const Batch& batch) const {
  StagingSlot& slot = *session.slots[session.next_slot];
  session.next_slot = (session.next_slot + 1) % session.slots.size();
  const DeviceStream stream = session.chosen.device->compute_stream();
  try {
    {
      const SlotWait wait;
      slot.wait_until_writable();
    }
    const DeviceBatch on_device = slot.upload(batch);
    session.stage->enqueue(on_device, stream);
    slot.release();
    ++session.num_batches;
    session.num_tokens += on_device.num_tokens;
    begin_save(session, batch);
    if (setup_.report_every > 0 && (batch.index + 1) % setup_.report_every == 0) {
      session.stage->enqueue_report(stream);
    }
  } catch (...) {
    throw_failure(session, "batch " + std::to_string(batch.index));
  }
}

void DeviceFeeder::pass_on_reports(Session& session) const {
  while (std::optional<Report> report = next_report(session)) {
    if (setup_.on_report) {
      // What is told of the work of a model can be told as a share of what the device can do.
      if (session.peak_flops) {
        report->figures.push_back({"peak_flops", *session.peak_flops});
      }
      setup_.on_report(*report);
    }
  }
}

void DeviceFeeder::begin_save(Session& session, const Batch& batch) const {
  if (!saves_ || !batch.checkpoint || !batch.checkpoint->is_wanted()) {
    return;
  }
  if (session.saving) {
    throw std::logic_error("a checkpoint is due while the one before is not saved yet");
  }
  session.stage->enqueue_save(session.chosen.device->compute_stream());
  session.saving = batch.checkpoint;
}

void DeviceFeeder::pass_on_save(Session& session) const {
  if (!session.saving) {
    return;
  }
  try {
    if (std::optional<CheckpointPart> part = session.stage->next_save()) {
      std::exchange(session.saving, nullptr)->add(metrics_.name, *std::move(part));
    }
  } catch (...) {
    throw_failure(session, "batch " + std::to_string(session.num_batches - 1));
  }
}

std::optional<Report> DeviceFeeder::next_report(Session& session) const {
  try {
    return session.stage->next_report();
  } catch (...) {
    throw_failure(session, "batch " + std::to_string(session.num_batches - 1));
  }
}

std::vector<Result> DeviceFeeder::close(Session& session) const {
  if (session.profiler) {
    session.profiler->end_of_batches();
  }
  std::vector<Result> results = {{"device", session.chosen.explanation}};
  const auto append = [&results](const std::vector<Result>& more) {
    results.insert(results.end(), more.begin(), more.end());
  };
  try {
    append(session.stage->results());
  } catch (...) {
    throw_failure(session, "the end of the run");
  }
  pass_on_reports(session);
  pass_on_save(session);
  if (session.profiler) {
    append(profile(session));
  }
  return results;
}

// What goes wrong with the profile is no failure of the run.
std::vector<Result> DeviceFeeder::profile(Session& session) {
  try {
    return session.profiler->results(session.num_batches, session.num_tokens);
  } catch (const std::exception& error) {
    return {{"profile", "not available: " + full_message(error)}};
  }
}

void DeviceFeeder::throw_failure(const Session& session, const std::string& point) const {
  const bool tells_late = session.chosen.device->backend() == Backend::kCuda;
  std::throw_with_nested(StageError(
      "device stage " + quoted_name(setup_.stage_name, setup_.stage_plugin) + " failed at " +
      point + (tells_late ? " or before it (a GPU tells of errors late)" : "")));
}

bool DeviceFeeder::is_cancelled() {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void DeviceFeeder::fail(std::exception_ptr error) {
  std::deque<Waiting> failed;
  {
    const std::lock_guard lock(mutex_);
    error_ = error;
    failed.swap(queue_);
  }
  for (auto& [batch, done] : failed) {
    done.fail(error);
  }
}

}  // namespace penstock::gpu
