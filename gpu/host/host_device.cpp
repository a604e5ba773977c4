#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu/checksum.h"
#include "gpu/device.h"

namespace penstock::gpu {
namespace {

class HostSlot final : public StagingSlot {
 public:
  explicit HostSlot(const BatchShape& shape)
      : tokens_(static_cast<std::size_t>(shape.cells())),
        cu_seqlens_(static_cast<std::size_t>(shape.positions()) + 1) {}

  void wait_until_writable() override {}

  DeviceBatch upload(const Batch& batch) override {
    std::copy(batch.tokens.begin(), batch.tokens.end(), tokens_.begin());
    std::copy(batch.cu_seqlens.begin(), batch.cu_seqlens.end(), cu_seqlens_.begin());
    return {batch.index,
            {batch.batch_size, batch.sequence_length, batch.row_length},
            batch.num_tokens,
            tokens_.data(),
            cu_seqlens_.data(),
            std::ssize(batch.cu_seqlens) - 1};
  }

  void release() override {}

 private:
  std::vector<TokenId> tokens_;
  std::vector<std::int32_t> cu_seqlens_;
};

class HostDevice final : public Device {
 public:
  std::string describe() const override { return "cpu"; }

  std::unique_ptr<StagingSlot> make_slot(const BatchShape& shape) override {
    return std::make_unique<HostSlot>(shape);
  }

  std::unique_ptr<DeviceStage> make_stage(const std::string& name,
                                          const StageConfig&,
                                          const BatchShape&) override {
    if (name == "checksum") {
      return make_host_checksum();
    }
    throw std::logic_error("the host backend has no device stage '" + name + "'");
  }

  DeviceStream compute_stream() const override { return {}; }
};

}  // namespace

std::unique_ptr<Device> make_host_device() {
  return std::make_unique<HostDevice>();
}

}  // namespace penstock::gpu
