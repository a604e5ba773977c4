#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/overlap.h"
#include "pipeline/sink.h"

namespace penstock::gpu {

// Adds up what a profiler sees of a device and of the host in front of it. Any thread. Times are
// those of std::chrono::steady_clock.
class DeviceActivity {
 public:
  enum class Copy { kToDevice, kToHost };

  // A wait of the host that takes longer than this was one in which it really waited; shorter ones
  // are what the call itself costs.
  static constexpr std::int64_t kWaitNs = 20'000;

  void add_kernel(Interval interval);
  void add_copy(Copy direction, std::int64_t bytes, Interval interval);
  // A stage of the pipeline worked beside the device.
  void add_stage(Interval interval);
  // A call in which the host may wait for the device, be it for a staging slot or for anything
  // else. The name, such as "cudaEventSynchronize", is one of few.
  enum class WaitFor { kSlot, kElse };
  void add_host_call(std::string_view name, WaitFor what, Interval interval);
  // Host calls that begin later belong to the end of the run.
  void end_of_batches(std::int64_t time);

  // The figures of docs/summary.md, "What the profiler of a CUDA device sees".
  std::vector<Result> results(std::int64_t num_batches, std::int64_t num_tokens) const;

 private:
  struct Calls {
    std::int64_t count = 0;
    std::int64_t waited = 0;  // of these: longer than kWaitNs
    std::int64_t ns = 0;      // in all of them

    void add(std::int64_t duration_ns);
  };

  std::string named_calls() const;

  mutable std::mutex mutex_;
  // Protected by mutex_.
  Overlap overlap_;
  std::int64_t num_kernels_ = 0;
  std::int64_t bytes_to_device_ = 0;
  std::int64_t bytes_to_host_ = 0;
  // While batches are fed.
  Calls slot_waits_;
  Calls other_calls_;
  std::map<std::string, std::int64_t, std::less<>> call_counts_;  // of both, by name
  std::int64_t calls_at_the_end_ = 0;
  std::int64_t end_of_batches_ = std::numeric_limits<std::int64_t>::max();
};

}  // namespace penstock::gpu
