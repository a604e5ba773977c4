#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gpu/device_stage.h"

namespace penstock::gpu {

// The device stage `checksum`: proves that every token arrived once, whole and in order, by
// comparing stream_checksum() of what was handed over with that of what arrived.
class Checksum : public DeviceStage {
 public:
  void hand_over(const Batch& batch) final;
  // Throws std::runtime_error where the two differ.
  std::vector<Result> results() final;

 protected:
  struct Arrived {
    std::uint64_t checksum = 0;
    std::uint64_t cells = 0;
    std::int64_t tokens = 0;
    std::int64_t batches = 0;
  };

 private:
  // Waits for what was enqueued.
  virtual Arrived arrived() = 0;

  // Touched by hand_over alone until the run is over.
  std::uint64_t sent_ = 0;
  std::uint64_t cells_sent_ = 0;
};

std::unique_ptr<DeviceStage> make_host_checksum();

}  // namespace penstock::gpu
