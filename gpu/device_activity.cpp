#include "gpu/device_activity.h"

#include <cmath>

namespace penstock::gpu {
namespace {

double seconds(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) * 1e-9;
}

// NaN where there is no whole.
double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : std::nan("");
}

}  // namespace

void DeviceActivity::add_kernel(Interval interval) {
  const std::lock_guard lock(mutex_);
  ++num_kernels_;
  overlap_.add_kernel(interval);
}

void DeviceActivity::add_copy(Copy direction, std::int64_t bytes, Interval interval) {
  const std::lock_guard lock(mutex_);
  (direction == Copy::kToDevice ? bytes_to_device_ : bytes_to_host_) += bytes;
  overlap_.add_copy(interval);
}

void DeviceActivity::add_stage(Interval interval) {
  const std::lock_guard lock(mutex_);
  overlap_.add_stage(interval);
}

void DeviceActivity::add_host_call(std::string_view name, WaitFor what, Interval interval) {
  const std::lock_guard lock(mutex_);
  if (interval.begin >= end_of_batches_) {
    ++calls_at_the_end_;
    return;
  }
  (what == WaitFor::kSlot ? slot_waits_ : other_calls_).add(interval.end - interval.begin);
  const auto found = call_counts_.find(name);
  ++(found != call_counts_.end() ? found->second : call_counts_[std::string(name)]);
}

void DeviceActivity::end_of_batches(std::int64_t time) {
  const std::lock_guard lock(mutex_);
  end_of_batches_ = time;
}

std::vector<Result> DeviceActivity::results(std::int64_t num_batches,
                                            std::int64_t num_tokens) const {
  const std::lock_guard lock(mutex_);
  const Overlap::Figures overlap = overlap_.figures();
  const std::int64_t synchronisations = slot_waits_.count + other_calls_.count;
  return {
      {"gpu_busy_share", share(overlap.kernel_ns, overlap.kernel_span_ns)},
      {"kernels", num_kernels_},
      {"kernel_seconds", seconds(overlap.kernel_ns)},
      {"copy_seconds", seconds(overlap.copy_ns)},
      {"copy_hidden_share", share(overlap.hidden_copy_ns, overlap.copy_ns)},
      {"cpu_overlap_share", share(overlap.staged_kernel_ns, overlap.kernel_ns)},
      {"host_to_device_bytes", bytes_to_device_},
      {"device_to_host_bytes", bytes_to_host_},
      {"host_synchronisations", synchronisations},
      {"host_synchronisations_per_batch", share(synchronisations, num_batches)},
      {"host_synchronisations_per_token", share(synchronisations, num_tokens)},
      {"waits_for_a_slot", slot_waits_.count},
      {"waits_for_a_slot_that_waited", slot_waits_.waited},
      {"slot_wait_seconds", seconds(slot_waits_.ns)},
      {"host_synchronisations_that_waited", other_calls_.waited},
      {"synchronisation_wait_seconds", seconds(other_calls_.ns)},
      {"synchronising_calls", named_calls()},
      {"host_synchronisations_at_the_end", calls_at_the_end_},
  };
}

void DeviceActivity::Calls::add(std::int64_t duration_ns) {
  ++count;
  waited += duration_ns > kWaitNs ? 1 : 0;
  ns += duration_ns;
}

// "cudaEventSynchronize 120, cudaMalloc 1"
std::string DeviceActivity::named_calls() const {
  std::string text;
  for (const auto& [name, count] : call_counts_) {
    text += (text.empty() ? "" : ", ") + name + " " + std::to_string(count);
  }
  return text.empty() ? "none" : text;
}

}  // namespace penstock::gpu
