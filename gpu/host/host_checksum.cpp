#include <cstddef>
#include <span>

#include "gpu/checksum.h"
#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

class HostChecksum final : public Checksum {
 public:
  void enqueue(const DeviceBatch& batch, DeviceStream) override {
    const auto cells = static_cast<std::size_t>(batch.shape.cells());
    arrived_.checksum += stream_checksum(std::span(batch.tokens, cells), arrived_.cells);
    arrived_.cells += cells;
    arrived_.tokens += batch.num_tokens;
    ++arrived_.batches;
  }

 private:
  Arrived arrived() override { return arrived_; }

  Arrived arrived_;
};

}  // namespace

std::unique_ptr<DeviceStage> make_host_checksum() {
  return std::make_unique<HostChecksum>();
}

}  // namespace penstock::gpu
