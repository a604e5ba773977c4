#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/sink.h"

namespace penstock::gpu {

// A batch as it lies in a device's memory; see Batch for the shapes. The pointers are valid until
// the work that was enqueued on it is done. Owns nothing.
struct DeviceBatch {
  std::int64_t index = 0;
  std::int64_t batch_size = 0;
  std::int64_t row_length = 0;
  std::int64_t num_tokens = 0;               // cells that are not padding
  const TokenId* tokens = nullptr;           // [batch_size, row_length]
  const std::int32_t* cu_seqlens = nullptr;  // [num_segments + 1]
  std::int64_t num_segments = 0;
};

// What runs on a device for each batch. Enqueues work and returns nothing that needs waiting for.
class DeviceStage {
 public:
  DeviceStage() = default;
  DeviceStage(const DeviceStage&) = delete;
  DeviceStage& operator=(const DeviceStage&) = delete;
  virtual ~DeviceStage() = default;

  // The batch as the pipeline hands it over, before it is copied to the device. In stream order,
  // one thread at a time, and not the device thread.
  virtual void hand_over(const Batch& batch) = 0;
  // The batch as it arrived on the device. In stream order, on the device thread.
  virtual void enqueue(const DeviceBatch& batch) = 0;
  // Waits for what was enqueued and reports it. After the last enqueue.
  virtual std::vector<Result> results() const = 0;
};

// Names of the device stages that the host backend has, sorted.
std::vector<std::string> host_device_stages();
// Throws std::logic_error for a name that is not among them.
std::unique_ptr<DeviceStage> make_host_device_stage(const std::string& name);

}  // namespace penstock::gpu
