#pragma once

#include <cstdint>
#include <vector>

#include "gpu/device_stage.h"

namespace penstock::gpu {

// Proves that every token arrived once, whole and in order: compares the checksum of what was
// handed over with that of what arrived.
class ChecksumStage final : public DeviceStage {
 public:
  void hand_over(const Batch& batch) override;
  void enqueue(const DeviceBatch& batch) override;
  // Throws std::runtime_error where the two checksums differ.
  std::vector<Result> results() const override;

 private:
  // Touched by hand_over alone until the run is over.
  std::uint64_t sent_ = 0;
  std::uint64_t cells_sent_ = 0;
  // Touched by the device thread alone until the run is over.
  std::uint64_t arrived_ = 0;
  std::uint64_t cells_arrived_ = 0;
  std::int64_t tokens_arrived_ = 0;
  std::int64_t batches_arrived_ = 0;
};

}  // namespace penstock::gpu
