#include "gpu/device_feeder.h"

#include <atomic>
#include <future>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/checksum.h"

namespace penstock::gpu {
namespace {

constexpr BatchShape kShape{2, 8, 8};

std::shared_ptr<const Batch> make_batch(std::int64_t index) {
  auto batch = std::make_shared<Batch>();
  batch->index = index;
  batch->batch_size = 2;
  batch->sequence_length = batch->row_length = 8;
  batch->num_rows = 2;
  batch->num_tokens = 16;
  batch->cu_seqlens = {0, 8, 16};
  for (TokenId i = 0; i < 16; ++i) {
    batch->tokens.push_back(static_cast<TokenId>(index * 100) + i);
  }
  return batch;
}

// Counts completions by how they ended.
struct Completions {
  std::atomic<int> done{0};
  std::atomic<int> failed{0};
  Completion next() {
    return Completion([this](std::exception_ptr error) { ++(error ? failed : done); });
  }
};

// Runs a function for each batch.
class FunctionDeviceStage final : public DeviceStage {
 public:
  explicit FunctionDeviceStage(std::function<void(const DeviceBatch&)> function)
      : function_(std::move(function)) {}
  void enqueue(const DeviceBatch& batch, DeviceStream) override { function_(batch); }
  std::vector<Result> results() override { return {}; }

 private:
  std::function<void(const DeviceBatch&)> function_;
};

// Passes on to a checksum, but changes one token of batch 3.
class LossyStage final : public DeviceStage {
 public:
  void hand_over(const Batch& batch) override { checksum_->hand_over(batch); }
  void enqueue(const DeviceBatch& batch, DeviceStream stream) override {
    std::vector<TokenId> tokens(batch.tokens, batch.tokens + batch.shape.cells());
    if (batch.index == 3) {
      tokens[5] ^= 1;
    }
    DeviceBatch changed = batch;
    changed.tokens = tokens.data();
    checksum_->enqueue(changed, stream);
  }
  std::vector<Result> results() override { return checksum_->results(); }

 private:
  std::unique_ptr<DeviceStage> checksum_ = make_host_checksum();
};

DeviceFeeder::Setup setup_of(std::function<std::unique_ptr<DeviceStage>()> make, int slots = 2) {
  DeviceFeeder::Setup setup;
  setup.open_device = [] { return open_device({DeviceChoice::Kind::kCpu, 0}); };
  setup.make_stage = [make = std::move(make)](Device&) { return make(); };
  setup.shape = kShape;
  setup.num_slots = slots;
  return setup;
}

const Result& result(const std::vector<Result>& results, const std::string& name) {
  for (const Result& each : results) {
    if (each.name == name) {
      return each;
    }
  }
  throw std::out_of_range(name);
}

class DeviceFeederSlots : public ::testing::TestWithParam<int> {};

TEST_P(DeviceFeederSlots, ProveThatEveryTokenArrived) {
  StageMetrics metrics("device", 1);
  Completions completions;
  DeviceFeeder feeder(setup_of(make_host_checksum, GetParam()), metrics);
  for (int i = 0; i < 50; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  feeder.finish();
  EXPECT_EQ(completions.done, 50);
  EXPECT_EQ(std::get<std::int64_t>(result(feeder.results(), "batches").value), 50);
  EXPECT_EQ(std::get<std::int64_t>(result(feeder.results(), "tokens").value), 50 * 16);
}

INSTANTIATE_TEST_SUITE_P(Few, DeviceFeederSlots, ::testing::Values(1, 2, 3, 8));

TEST(DeviceFeeder, NoticesATokenThatChangedOnTheWay) {
  StageMetrics metrics("device", 1);
  Completions completions;
  DeviceFeeder feeder(setup_of([] { return std::make_unique<LossyStage>(); }), metrics);
  for (int i = 0; i < 5; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  EXPECT_THROW(feeder.finish(), std::runtime_error);
}

TEST(DeviceFeeder, TellsWhatTheStageThrewAtTheLatestAtTheEnd) {
  StageMetrics metrics("device", 1);
  Completions completions;
  DeviceFeeder feeder(setup_of([] {
                        return std::make_unique<FunctionDeviceStage>([](const DeviceBatch&) {
                          throw std::runtime_error("the kernel failed");
                        });
                      }),
                      metrics);
  for (int i = 0; i < 5; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  EXPECT_THROW(feeder.finish(), std::runtime_error);
  EXPECT_EQ(completions.done + completions.failed, 5);
}

TEST(DeviceFeeder, TellsWhatTheMakingOfItsDeviceThrew) {
  StageMetrics metrics("device", 1);
  DeviceFeeder::Setup setup = setup_of(make_host_checksum);
  setup.open_device = []() -> ChosenDevice { throw std::runtime_error("no such device"); };
  EXPECT_THROW(DeviceFeeder(std::move(setup), metrics), std::runtime_error);
}

TEST(DeviceFeeder, DropsWhatWaitsWhenItIsCancelled) {
  StageMetrics metrics("device", 1);
  Completions completions;
  std::promise<void> go;
  std::shared_future<void> gate = go.get_future().share();
  {
    DeviceFeeder feeder(
        setup_of([gate] {
          return std::make_unique<FunctionDeviceStage>([gate](const DeviceBatch&) { gate.wait(); });
        }),
        metrics);
    for (int i = 0; i < 4; ++i) {
      feeder.consume(make_batch(i), completions.next());
    }
    feeder.cancel();
    feeder.consume(make_batch(4), completions.next());
    go.set_value();
  }
  EXPECT_EQ(completions.done + completions.failed, 5);
  EXPECT_GE(completions.failed, 3);
}

}  // namespace
}  // namespace penstock::gpu
