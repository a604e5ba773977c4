#include <algorithm>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "gpu/row_tokens.h"

namespace penstock::gpu {
namespace {

class HostSlot final : public StagingSlot {
 public:
  explicit HostSlot(const BatchShape& shape)
      : tokens_(static_cast<std::size_t>(shape.cells())),
        cu_seqlens_(static_cast<std::size_t>(shape.positions()) + 1),
        row_tokens_(static_cast<std::size_t>(shape.batch_size)) {}

  void wait_until_writable() override {}

  DeviceBatch upload(const Batch& batch) override {
    std::copy(batch.tokens.begin(), batch.tokens.end(), tokens_.begin());
    std::copy(batch.cu_seqlens.begin(), batch.cu_seqlens.end(), cu_seqlens_.begin());
    count_row_tokens(batch, row_tokens_);
    return {batch.index,
            {batch.batch_size, batch.sequence_length, batch.row_length},
            batch.num_tokens,
            tokens_.data(),
            cu_seqlens_.data(),
            std::ssize(batch.cu_seqlens) - 1,
            row_tokens_.data()};
  }

  void release() override {}

 private:
  std::vector<TokenId> tokens_;
  std::vector<std::int32_t> cu_seqlens_;
  std::vector<std::int32_t> row_tokens_;
};

class HostDevice final : public Device {
 public:
  Backend backend() const override { return Backend::kHost; }
  std::string describe() const override { return "cpu"; }

  std::unique_ptr<StagingSlot> make_slot(const BatchShape& shape) override {
    return std::make_unique<HostSlot>(shape);
  }

  DeviceStream compute_stream() const override { return {}; }
};

}  // namespace

std::unique_ptr<Device> make_host_device() {
  return std::make_unique<HostDevice>();
}

}  // namespace penstock::gpu
