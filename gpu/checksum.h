#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gpu/device_stage.h"

namespace penstock::gpu {

// The device stage `checksum`: proves that every token arrived once, whole and in order, by
// comparing stream_checksum() of what was handed over with that of what arrived.
class Checksum : public DeviceStage {
 public:
  void hand_over(const Batch& batch) final;
  bool saves() const final { return true; }
  // Throws std::runtime_error where the two differ.
  std::vector<Result> results() final;

 protected:
  struct Arrived {
    std::uint64_t checksum = 0;
    std::uint64_t cells = 0;
    std::int64_t tokens = 0;
    std::int64_t batches = 0;
  };

  // Goes on from what an earlier run saved in `resume_folder`; empty: from the beginning. Throws
  // FileError.
  explicit Checksum(const std::string& resume_folder);

  const Arrived& before() const { return before_; }
  static CheckpointPart save(const Arrived& arrived);

 private:
  static Arrived read(const std::string& path);
  // Waits for what was enqueued.
  virtual Arrived arrived() = 0;

  const Arrived before_;  // in earlier runs

  // Touched by hand_over alone until the run is over.
  std::uint64_t sent_;
  std::uint64_t cells_sent_;
};

std::unique_ptr<DeviceStage> make_host_checksum(const std::string& resume_folder);

}  // namespace penstock::gpu
