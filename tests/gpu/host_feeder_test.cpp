#include "gpu/host/host_feeder.h"

#include <future>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/host/checksum_stage.h"

namespace penstock::gpu {
namespace {

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

// Passes on to a ChecksumStage, but changes what arrives.
class LossyStage final : public DeviceStage {
 public:
  void hand_over(const Batch& batch) override { checksum_.hand_over(batch); }
  void enqueue(const DeviceBatch& batch) override {
    std::vector<TokenId> tokens(batch.tokens, batch.tokens + batch.batch_size * batch.row_length);
    if (batch.index == 3) {
      tokens[5] ^= 1;
    }
    DeviceBatch changed = batch;
    changed.tokens = tokens.data();
    checksum_.enqueue(changed);
  }
  std::vector<Result> results() const override { return checksum_.results(); }

 private:
  ChecksumStage checksum_;
};

class BrokenStage final : public DeviceStage {
 public:
  void hand_over(const Batch&) override {}
  void enqueue(const DeviceBatch&) override { throw std::runtime_error("the kernel failed"); }
  std::vector<Result> results() const override { return {}; }
};

// Holds the device thread until it is let go.
class HeldStage final : public DeviceStage {
 public:
  explicit HeldStage(std::shared_future<void> go) : go_(std::move(go)) {}
  void hand_over(const Batch&) override {}
  void enqueue(const DeviceBatch&) override { go_.wait(); }
  std::vector<Result> results() const override { return {}; }

 private:
  std::shared_future<void> go_;
};

TEST(HostFeeder, ProvesThatEveryTokenArrived) {
  StageMetrics metrics("device", 1);
  Completions completions;
  HostFeeder feeder(std::make_unique<ChecksumStage>(), metrics);
  for (int i = 0; i < 50; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  feeder.finish();
  EXPECT_EQ(completions.done, 50);
  const std::vector<Result> results = feeder.results();
  EXPECT_EQ(std::get<std::int64_t>(results.at(0).value), 50);
  EXPECT_EQ(std::get<std::int64_t>(results.at(1).value), 50 * 16);
}

TEST(HostFeeder, GivesTheSameChecksumOnEveryRun) {
  const auto run = [] {
    StageMetrics metrics("device", 1);
    Completions completions;
    HostFeeder feeder(std::make_unique<ChecksumStage>(), metrics);
    for (int i = 0; i < 20; ++i) {
      feeder.consume(make_batch(i), completions.next());
    }
    feeder.finish();
    return std::get<std::string>(feeder.results().at(2).value);
  };
  EXPECT_EQ(run(), run());
}

TEST(HostFeeder, NoticesATokenThatChangedOnTheWay) {
  StageMetrics metrics("device", 1);
  Completions completions;
  HostFeeder feeder(std::make_unique<LossyStage>(), metrics);
  for (int i = 0; i < 5; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  EXPECT_THROW(feeder.finish(), std::runtime_error);
}

TEST(HostFeeder, TellsWhatTheStageThrewAtTheLatestAtTheEnd) {
  StageMetrics metrics("device", 1);
  Completions completions;
  HostFeeder feeder(std::make_unique<BrokenStage>(), metrics);
  feeder.consume(make_batch(0), completions.next());
  EXPECT_THROW(feeder.finish(), std::runtime_error);
}

TEST(HostFeeder, DropsWhatWaitsWhenItIsCancelled) {
  StageMetrics metrics("device", 1);
  Completions completions;
  std::promise<void> go;
  {
    HostFeeder feeder(std::make_unique<HeldStage>(go.get_future().share()), metrics);
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
