#include "apps/configured_run.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>

#include "apps/endless_run.h"
#include "pipeline/span.h"
#include "report/device_clock.h"
#include "report/periodic_call.h"
#include "report/stretch.h"

namespace penstock {
namespace {

constexpr std::chrono::milliseconds kPeriod{20};
constexpr double kWarmUp = 0.4;  // share of the time

// Adds up how long copies to a device took. Any thread.
class CopyClock final : public SpanListener {
 public:
  void add(const Span& span) noexcept override {
    if (!span.device.empty() && span.name == "copy to device") {
      const std::lock_guard lock(mutex_);
      seconds_ += static_cast<double>(span.end_ns - span.begin_ns) * 1e-9;
    }
  }
  double seconds() const {
    const std::lock_guard lock(mutex_);
    return seconds_;
  }

 private:
  mutable std::mutex mutex_;
  double seconds_ = 0;  // protected by mutex_
};

// A look at a run.
struct Look {
  RunSummary progress;
  DeviceClock::Reading device;
  double copy_seconds = 0;
};

}  // namespace

ConfiguredRun run_as_configured(double seconds,
                                const PipelineConfig& config,
                                const StageRegistry& registry,
                                const std::stop_token& stop) {
  const EndlessSource* source = nullptr;
  // The first one: held-out batches are read by others.
  const StageRegistry endless = with_endless_sources(
      registry, [&](const EndlessSource& made) { source = source == nullptr ? &made : source; });
  Pipeline pipeline(config, endless);
  const auto device = std::make_shared<DeviceClock>();
  const auto copies = std::make_shared<CopyClock>();
  pipeline.listen(std::shared_ptr<SpanListener>(device));
  pipeline.listen(std::shared_ptr<SpanListener>(copies));
  std::stop_source enough;
  const std::stop_callback pass_on(stop, [&] { enough.request_stop(); });
  std::optional<Look> begin;
  Look end;
  PeriodicCall calls(kPeriod, [&] {
    Look look{pipeline.progress(), device->read(), copies->seconds()};
    if (!begin && look.progress.wall_seconds >= kWarmUp * seconds && look.progress.batches > 0) {
      begin = look;
    }
    // What is under way when a run is stopped is no part of the stretch.
    if (look.progress.wall_seconds >= seconds) {
      enough.request_stop();
    } else {
      end = std::move(look);
    }
  });
  pipeline.run(enough.get_token());
  calls.stop();
  ConfiguredRun run;
  run.passes = source->passes();
  run.gpu_busy = run.copy_busy = std::numeric_limits<double>::quiet_NaN();
  if (!begin || end.progress.batches <= begin->progress.batches) {
    return run;
  }
  run.stretch = stretch_between(begin->progress, end.progress);
  if (end.device.end_ns > 0) {
    run.gpu_busy = DeviceClock::busy_share(begin->device, end.device);
    run.copy_busy =
        std::min(1.0, (end.copy_seconds - begin->copy_seconds) / run.stretch.wall_seconds);
  }
  if (pipeline.stream().batch_shape) {
    run.tokens_per_batch = static_cast<double>(pipeline.stream().batch_shape->positions());
  }
  return run;
}

}  // namespace penstock
