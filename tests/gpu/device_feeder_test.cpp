#include "gpu/device_feeder.h"

#include <atomic>
#include <cstdint>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/checksum.h"
#include "pipeline/errors.h"
#include "pipeline/pending_checkpoint.h"
#include "tests/temporary_folder.h"

namespace penstock::gpu {
namespace {

using ::testing::ElementsAre;

constexpr BatchShape kShape{2, 8, 8};

std::shared_ptr<const Batch> make_batch(std::int64_t index) {
  auto batch = std::make_shared<Batch>();
  batch->index = index;
  batch->batch_size = 2;
  batch->sequence_length = batch->row_length = 8;
  batch->num_rows = 2;
  batch->num_tokens = 16;
  batch->cu_seqlens = {0, 8, 16};
  batch->segments = {{0, 8, nullptr, 0, 0, 0}, {8, 16, nullptr, 1, 0, 0}};
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

std::unique_ptr<DeviceStage> make_checksum() {
  return make_host_checksum({});
}

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
  std::unique_ptr<DeviceStage> checksum_ = make_checksum();
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
  DeviceFeeder feeder(setup_of(make_checksum, GetParam()), metrics);
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

TEST(DeviceFeeder, NamesTheStageAndTheBatchThatFailed) {
  StageMetrics metrics("device", 1);
  Completions completions;
  DeviceFeeder::Setup setup = setup_of([] {
    return std::make_unique<FunctionDeviceStage>([](const DeviceBatch& batch) {
      if (batch.index == 3) {
        throw std::runtime_error("the kernel failed");
      }
    });
  });
  setup.stage_name = "lm_score";
  DeviceFeeder feeder(std::move(setup), metrics);
  for (int i = 0; i < 5; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  try {
    feeder.finish();
    FAIL() << "no error";
  } catch (const std::exception& error) {
    EXPECT_EQ(full_message(error), "device stage 'lm_score' failed at batch 3: the kernel failed");
  }
}

// A device whose slots cannot be waited for.
class LostDevice final : public Device {
 public:
  Backend backend() const override { return Backend::kCuda; }
  std::string describe() const override { return "lost"; }
  std::unique_ptr<StagingSlot> make_slot(const BatchShape&) override {
    return std::make_unique<LostSlot>();
  }
  DeviceStream compute_stream() const override { return {}; }

 private:
  class LostSlot final : public StagingSlot {
   public:
    void wait_until_writable() override { throw std::runtime_error("the device is lost"); }
    DeviceBatch upload(const Batch&) override { return {}; }
    void release() override {}
  };
};

TEST(DeviceFeeder, FailsTheBatchThatTheDeviceWasLostWith) {
  StageMetrics metrics("device", 1);
  DeviceFeeder::Setup setup = setup_of(make_checksum);
  setup.open_device = [] { return ChosenDevice{std::make_unique<LostDevice>(), "lost"}; };
  setup.stage_name = "checksum";
  DeviceFeeder feeder(std::move(setup), metrics);
  std::promise<std::exception_ptr> completion;
  feeder.consume(make_batch(0), Completion([&](std::exception_ptr error) {
                   completion.set_value(std::move(error));
                 }));
  try {
    std::rethrow_exception(completion.get_future().get());
  } catch (const std::exception& error) {
    EXPECT_EQ(
        full_message(error),
        "device stage 'checksum' failed at batch 0 or before it (a GPU tells of errors late): "
        "the device is lost");
  }
}

TEST(DeviceFeeder, FailsTheBatchesThatComeAfterAFailure) {
  StageMetrics metrics("device", 1);
  Completions completions;
  std::promise<void> failed;
  DeviceFeeder feeder(setup_of([] {
                        return std::make_unique<FunctionDeviceStage>([](const DeviceBatch&) {
                          throw std::runtime_error("the kernel failed");
                        });
                      }),
                      metrics);
  feeder.consume(make_batch(0), completions.next());
  // The second batch is failed like the first, at once or when that has failed.
  feeder.consume(make_batch(1), Completion([&](std::exception_ptr) { failed.set_value(); }));
  failed.get_future().wait();
  feeder.consume(make_batch(2), completions.next());
  EXPECT_EQ(completions.failed, 2);
}

// Counts batches; a report comes back when the batch after it is enqueued, the last at the end.
class LateReports final : public DeviceStage {
 public:
  void enqueue(const DeviceBatch&, DeviceStream) override {
    ++num_batches_;
    num_back_ = reports_.size();
  }
  void enqueue_report(DeviceStream) override {
    reports_.push_back({num_batches_, {{"loss", 0.5}}});
  }
  std::optional<Report> next_report() override {
    return next_ < num_back_ ? std::optional(reports_[next_++]) : std::nullopt;
  }
  std::vector<Result> results() override {
    num_back_ = reports_.size();
    return {};
  }

 private:
  std::int64_t num_batches_ = 0;
  std::vector<Report> reports_;
  std::size_t num_back_ = 0;
  std::size_t next_ = 0;
};

// What is reported of a run over the batches from `first` to 11, after every third of the stream.
std::vector<std::int64_t> reported_from(int first) {
  StageMetrics metrics("device", 1);
  Completions completions;
  std::vector<std::int64_t> reported;
  DeviceFeeder::Setup setup = setup_of([] { return std::make_unique<LateReports>(); });
  setup.report_every = 3;
  setup.on_report = [&](const Report& report) { reported.push_back(report.num_batches); };
  DeviceFeeder feeder(std::move(setup), metrics);
  for (int i = first; i < 12; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  feeder.finish();
  return reported;
}

TEST(DeviceFeeder, PassesOnEveryReportInOrder) {
  EXPECT_THAT(reported_from(0), ElementsAre(3, 6, 9, 12));
}

// As the run that is gone on with would have.
TEST(DeviceFeeder, ReportsBehindTheSameBatchesOfTheStreamWhereverTheRunBegins) {
  EXPECT_THAT(reported_from(4), ElementsAre(2, 5, 8));  // batches of its own: 5, 8 and 11
}

// Tells what it was asked.
class RecordedProfiler final : public DeviceProfiler {
 public:
  explicit RecordedProfiler(bool& started) : started_(started) {}
  void start() override { started_ = true; }
  void end_of_batches() override { ended_ = true; }
  std::vector<Result> results(std::int64_t num_batches, std::int64_t num_tokens) override {
    return {{"profiled_batches", num_batches},
            {"profiled_tokens", num_tokens},
            {"ended_before", std::int64_t{ended_}}};
  }

 private:
  bool& started_;
  bool ended_ = false;
};

TEST(DeviceFeeder, ProfilesTheBatchesOfTheRun) {
  StageMetrics metrics("device", 1);
  Completions completions;
  bool started = false;
  DeviceFeeder::Setup setup = setup_of(make_checksum);
  setup.make_profiler = [&](Device&) { return std::make_unique<RecordedProfiler>(started); };
  DeviceFeeder feeder(std::move(setup), metrics);
  EXPECT_TRUE(started);
  for (int i = 0; i < 3; ++i) {
    feeder.consume(make_batch(i), completions.next());
  }
  feeder.finish();
  EXPECT_EQ(std::get<std::int64_t>(result(feeder.results(), "profiled_batches").value), 3);
  EXPECT_EQ(std::get<std::int64_t>(result(feeder.results(), "profiled_tokens").value), 48);
  EXPECT_EQ(std::get<std::int64_t>(result(feeder.results(), "ended_before").value), 1);
}

TEST(DeviceFeeder, CountsTheWaitForTheDeviceAsBusy) {
  StageMetrics metrics("device", 1);
  Completions completions;
  std::promise<void> entered;
  std::promise<void> go;
  DeviceFeeder feeder(setup_of([&] {
                        return std::make_unique<FunctionDeviceStage>([&](const DeviceBatch&) {
                          entered.set_value();
                          go.get_future().wait();
                        });
                      }),
                      metrics);
  feeder.consume(make_batch(0), completions.next());
  entered.get_future().wait();
  const std::int64_t before = metrics.own_thread.total_ns();
  EXPECT_GT(before, 0);
  EXPECT_GT(metrics.own_thread.under_way_ns(), 0);
  go.set_value();
  feeder.finish();
  EXPECT_GE(metrics.own_thread.total_ns(), before);
}

TEST(DeviceFeeder, TellsWhatTheMakingOfItsDeviceThrew) {
  StageMetrics metrics("device", 1);
  DeviceFeeder::Setup setup = setup_of(make_checksum);
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

// Its state comes back two batches after it was asked for.
class SlowlySavedStage final : public DeviceStage {
 public:
  void enqueue(const DeviceBatch& batch, DeviceStream) override { last_ = batch.index; }
  std::vector<Result> results() override {
    ended_ = true;
    return {};
  }
  bool saves() const override { return true; }
  void enqueue_save(DeviceStream) override { saved_ = last_; }
  std::optional<CheckpointPart> next_save() override {
    if (!saved_ || (last_ < *saved_ + 2 && !ended_)) {
      return std::nullopt;
    }
    return [state = *std::exchange(saved_, std::nullopt)](const std::string& folder) {
      std::ofstream(folder + "/state") << state;
    };
  }

 private:
  std::int64_t last_ = -1;
  std::optional<std::int64_t> saved_;
  bool ended_ = false;
};

// Gives the stage's state behind batch `due` of `batches` to a checkpoint, and writes it to
// `folder`. Returns what was written.
std::string save_behind(std::int64_t due, std::int64_t batches, const std::string& folder) {
  StageMetrics metrics("device", 1);
  Completions completions;
  std::vector<PendingCheckpoint::Content> ready;
  DeviceFeeder feeder(setup_of([] { return std::make_unique<SlowlySavedStage>(); }), metrics);
  EXPECT_TRUE(feeder.saves());
  const auto checkpoint = std::make_shared<PendingCheckpoint>(
      StreamPosition(), 1, [&](PendingCheckpoint::Content content) {
        ready.push_back(std::move(content));
      });
  for (std::int64_t i = 0; i < batches; ++i) {
    auto batch = std::make_shared<Batch>(*make_batch(i));
    batch->checkpoint = i == due ? checkpoint : nullptr;
    feeder.consume(batch, completions.next());
  }
  checkpoint->complete_batch();
  feeder.finish();
  EXPECT_EQ(ready.size(), 1u);
  EXPECT_EQ(ready.at(0).parts.at(0).first, "device");
  ready.at(0).parts.at(0).second(folder);
  std::ifstream file(folder + "/state");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(DeviceFeeder, AddsTheStateBehindABatchWhenItHasComeBack) {
  const TemporaryFolder folder;
  EXPECT_EQ(save_behind(3, 10, folder.path()), "3");
}

TEST(DeviceFeeder, AddsAStateThatComesBackAtTheEnd) {
  const TemporaryFolder folder;
  EXPECT_EQ(save_behind(9, 10, folder.path()), "9");
}

TEST(Checksum, GoesOnFromWhatItSaved) {
  const TemporaryFolder folder;
  StageMetrics metrics("device", 1);
  Completions completions;
  {
    DeviceFeeder first(setup_of(make_checksum), metrics);
    const auto checkpoint = std::make_shared<PendingCheckpoint>(
        StreamPosition(), 1, [&](const PendingCheckpoint::Content& content) {
          content.parts.at(0).second(folder.path());
        });
    checkpoint->complete_batch();
    for (int i = 0; i < 5; ++i) {
      auto batch = std::make_shared<Batch>(*make_batch(i));
      batch->checkpoint = i == 2 ? checkpoint : nullptr;
      first.consume(batch, completions.next());
    }
    first.finish();
  }
  const auto checksum_of = [&](const std::string& resume_folder, int begin) {
    DeviceFeeder feeder(setup_of([&] { return make_host_checksum(resume_folder); }), metrics);
    for (int i = begin; i < 20; ++i) {
      feeder.consume(make_batch(i), completions.next());
    }
    feeder.finish();
    return std::get<std::string>(result(feeder.results(), "checksum").value);
  };
  EXPECT_EQ(checksum_of(folder.path(), 3), checksum_of("", 0));
  EXPECT_THROW(make_host_checksum(folder.path("nowhere")), FileError);
  std::ofstream(folder.path("checksum.json")) << "{";
  EXPECT_THROW(make_host_checksum(folder.path()), FileError);
}

}  // namespace
}  // namespace penstock::gpu
