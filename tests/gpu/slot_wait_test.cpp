#include "gpu/slot_wait.h"

#include <memory>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "gpu/checksum.h"
#include "gpu/device_feeder.h"

namespace penstock::gpu {
namespace {

// Counts the calls that are made within a SlotWait, and all.
struct Marked {
  int waits = 0;
  int marked_waits = 0;
  int marked_uploads = 0;
};

class WatchedSlot final : public StagingSlot {
 public:
  WatchedSlot(std::unique_ptr<StagingSlot> slot, Marked& marked)
      : slot_(std::move(slot)), marked_(marked) {}

  void wait_until_writable() override {
    ++marked_.waits;
    marked_.marked_waits += SlotWait::is_under_way() ? 1 : 0;
    slot_->wait_until_writable();
  }
  DeviceBatch upload(const Batch& batch) override {
    marked_.marked_uploads += SlotWait::is_under_way() ? 1 : 0;
    return slot_->upload(batch);
  }
  void release() override { slot_->release(); }

 private:
  std::unique_ptr<StagingSlot> slot_;
  Marked& marked_;
};

class WatchedDevice final : public Device {
 public:
  explicit WatchedDevice(Marked& marked) : marked_(marked) {}

  Backend backend() const override { return device_->backend(); }
  std::string describe() const override { return device_->describe(); }
  std::unique_ptr<StagingSlot> make_slot(const BatchShape& shape) override {
    return std::make_unique<WatchedSlot>(device_->make_slot(shape), marked_);
  }
  DeviceStream compute_stream() const override { return device_->compute_stream(); }

 private:
  std::unique_ptr<Device> device_ = make_host_device();
  Marked& marked_;
};

TEST(SlotWait, IsThatOfItsThreadAlone) {
  EXPECT_FALSE(SlotWait::is_under_way());
  {
    const SlotWait wait;
    EXPECT_TRUE(SlotWait::is_under_way());
    std::thread([] { EXPECT_FALSE(SlotWait::is_under_way()); }).join();
  }
  EXPECT_FALSE(SlotWait::is_under_way());
}

TEST(SlotWait, IsUnderWayWhileTheFeederWaitsForASlot) {
  Marked marked;
  DeviceFeeder::Setup setup;
  setup.open_device = [&]() -> ChosenDevice {
    return {std::make_unique<WatchedDevice>(marked), "watched"};
  };
  setup.make_stage = [](Device&) { return make_host_checksum({}); };
  setup.shape = {1, 4, 4};
  StageMetrics metrics("device", 1);
  DeviceFeeder feeder(std::move(setup), metrics);
  for (std::int64_t index = 0; index < 5; ++index) {
    auto batch = std::make_shared<Batch>();
    batch->index = index;
    batch->batch_size = batch->num_rows = 1;
    batch->sequence_length = batch->row_length = 4;
    batch->num_tokens = 4;
    batch->tokens = {1, 2, 3, 4};
    batch->cu_seqlens = {0, 4};
    feeder.consume(std::move(batch), Completion([](std::exception_ptr) {}));
  }
  feeder.finish();
  EXPECT_EQ(marked.waits, 5);
  EXPECT_EQ(marked.marked_waits, 5);
  EXPECT_EQ(marked.marked_uploads, 0);
}

}  // namespace
}  // namespace penstock::gpu
