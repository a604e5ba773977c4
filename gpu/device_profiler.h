#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "pipeline/metrics.h"
#include "pipeline/sink.h"

namespace penstock::gpu {

// Observes from outside what the host asks of a device and what the device does. Made, used and
// destroyed by the device thread; at most one at a time in a process. To be made before the work
// that it observes is prepared (a CUDA graph that was made before is not seen).
class DeviceProfiler {
 public:
  DeviceProfiler() = default;
  DeviceProfiler(const DeviceProfiler&) = delete;
  DeviceProfiler& operator=(const DeviceProfiler&) = delete;
  virtual ~DeviceProfiler() = default;

  // Begins to count: what prepares the run is over.
  virtual void start() = 0;
  // The last batch has been enqueued. What the host waits for from now on is the end of the run,
  // and is counted apart.
  virtual void end_of_batches() = 0;
  // Ends counting. What the run was, for figures per batch and per token. To be called when the
  // device has done everything.
  virtual std::vector<Result> results(std::int64_t num_batches, std::int64_t num_tokens) = 0;
};

// Observes through CUPTI. What the device does is passed on to `metrics` as spans; what the rows of
// `metrics` other than `own_row` are busy with counts as work that runs beside the device.
// `metrics` outlives the profiler. Where CUPTI cannot be used, the profiler does nothing, and its
// results say why. Null in a build without CUDA.
std::unique_ptr<DeviceProfiler> make_cuda_profiler(const Device& device,
                                                   Metrics& metrics,
                                                   const std::string& own_row);

}  // namespace penstock::gpu
