#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "gpu/checksum.h"
#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

class HostChecksum final : public Checksum {
 public:
  explicit HostChecksum(const std::string& resume_folder)
      : Checksum(resume_folder), arrived_(before()) {}

  void enqueue(const DeviceBatch& batch, DeviceStream) override {
    const auto cells = static_cast<std::size_t>(batch.shape.cells());
    arrived_.checksum += stream_checksum(std::span(batch.tokens, cells), arrived_.cells);
    arrived_.cells += cells;
    arrived_.tokens += batch.num_tokens;
    ++arrived_.batches;
  }

  void enqueue_save(DeviceStream) override { saved_ = save(arrived_); }
  std::optional<CheckpointPart> next_save() override { return std::exchange(saved_, std::nullopt); }

 private:
  Arrived arrived() override { return arrived_; }

  Arrived arrived_;
  std::optional<CheckpointPart> saved_;
};

}  // namespace

std::unique_ptr<DeviceStage> make_host_checksum(const std::string& resume_folder) {
  return std::make_unique<HostChecksum>(resume_folder);
}

}  // namespace penstock::gpu
