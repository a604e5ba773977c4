#include "gpu/device_activity.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

namespace penstock::gpu {
namespace {

using testing::HasSubstr;

using WaitFor = DeviceActivity::WaitFor;

constexpr std::int64_t kMs = 1'000'000;

class Figures {
 public:
  explicit Figures(std::vector<Result> results) : results_(std::move(results)) {}

  const Result& operator[](const std::string& name) const {
    for (const Result& each : results_) {
      if (each.name == name) {
        return each;
      }
    }
    throw std::out_of_range(name);
  }
  std::int64_t count(const std::string& name) const {
    return std::get<std::int64_t>((*this)[name].value);
  }
  double number(const std::string& name) const { return std::get<double>((*this)[name].value); }
  std::string text(const std::string& name) const {
    return std::get<std::string>((*this)[name].value);
  }

 private:
  std::vector<Result> results_;
};

TEST(DeviceActivity, SharesTheTimeOutBetweenKernelsCopiesAndStages) {
  DeviceActivity activity;
  activity.add_kernel({0 * kMs, 4 * kMs});
  activity.add_kernel({6 * kMs, 10 * kMs});
  activity.add_copy(DeviceActivity::Copy::kToDevice, 4096, {2 * kMs, 5 * kMs});
  activity.add_copy(DeviceActivity::Copy::kToHost, 8, {9 * kMs, 10 * kMs});
  activity.add_stage({1 * kMs, 7 * kMs});
  const Figures figures(activity.results(2, 1000));
  EXPECT_DOUBLE_EQ(figures.number("gpu_busy_share"), 0.8);
  EXPECT_EQ(figures.count("kernels"), 2);
  EXPECT_DOUBLE_EQ(figures.number("kernel_seconds"), 0.008);
  EXPECT_DOUBLE_EQ(figures.number("copy_seconds"), 0.004);
  EXPECT_DOUBLE_EQ(figures.number("copy_hidden_share"), 3.0 / 4);
  EXPECT_DOUBLE_EQ(figures.number("cpu_overlap_share"), 4.0 / 8);
  EXPECT_EQ(figures.count("host_to_device_bytes"), 4096);
  EXPECT_EQ(figures.count("device_to_host_bytes"), 8);
}

TEST(DeviceActivity, TellsWaitsForASlotFromOthers) {
  DeviceActivity activity;
  activity.add_host_call("cudaEventSynchronize", WaitFor::kSlot, {0, 3 * kMs});
  activity.add_host_call("cudaEventSynchronize", WaitFor::kSlot, {4 * kMs, 4 * kMs + 1000});
  activity.add_host_call("cudaEventSynchronize", WaitFor::kElse, {5 * kMs, 6 * kMs});
  activity.add_host_call("cudaFree", WaitFor::kElse, {7 * kMs, 7 * kMs + DeviceActivity::kWaitNs});
  const Figures figures(activity.results(2, 1000));
  EXPECT_EQ(figures.count("host_synchronisations"), 4);
  EXPECT_DOUBLE_EQ(figures.number("host_synchronisations_per_batch"), 2);
  EXPECT_DOUBLE_EQ(figures.number("host_synchronisations_per_token"), 0.004);
  EXPECT_EQ(figures.count("waits_for_a_slot"), 2);
  EXPECT_EQ(figures.count("waits_for_a_slot_that_waited"), 1);
  EXPECT_DOUBLE_EQ(figures.number("slot_wait_seconds"), 0.003001);
  EXPECT_EQ(figures.count("host_synchronisations_that_waited"), 1);
  EXPECT_DOUBLE_EQ(figures.number("synchronisation_wait_seconds"), 0.00102);
  EXPECT_EQ(figures.text("synchronising_calls"), "cudaEventSynchronize 3, cudaFree 1");
}

TEST(DeviceActivity, CountsTheEndOfTheRunApart) {
  DeviceActivity activity;
  activity.add_host_call("cudaEventSynchronize", WaitFor::kSlot, {0, 1});
  activity.end_of_batches(100);
  activity.add_host_call("cudaStreamSynchronize", WaitFor::kElse, {100, 5 * kMs});
  activity.add_host_call("cudaEventSynchronize", WaitFor::kSlot, {99, 100});
  const Figures figures(activity.results(2, 10));
  EXPECT_EQ(figures.count("host_synchronisations"), 2);
  EXPECT_EQ(figures.count("host_synchronisations_that_waited"), 0);
  EXPECT_EQ(figures.count("host_synchronisations_at_the_end"), 1);
}

TEST(DeviceActivity, HasNoSharesOfNothing) {
  const Figures figures(DeviceActivity().results(0, 0));
  for (const char* name : {"gpu_busy_share",
                           "copy_hidden_share",
                           "cpu_overlap_share",
                           "host_synchronisations_per_batch",
                           "host_synchronisations_per_token"}) {
    EXPECT_TRUE(std::isnan(figures.number(name))) << name;
  }
  EXPECT_EQ(figures.count("host_synchronisations"), 0);
  EXPECT_EQ(figures.text("synchronising_calls"), "none");
}

TEST(DeviceActivity, TakesReportsFromManyThreads) {
  constexpr std::int64_t kRounds = 2000;
  DeviceActivity activity;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (std::int64_t round = 0; round < kRounds; ++round) {
        activity.add_kernel({10 * round, 10 * round + 5});
        activity.add_stage({10 * round, 10 * round + 10});
        activity.add_copy(DeviceActivity::Copy::kToHost, 3, {10 * round, 10 * round + 1});
        activity.add_host_call("cudaEventSynchronize", WaitFor::kSlot, {0, 1});
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const Figures figures(activity.results(1, 1));
  EXPECT_EQ(figures.count("kernels"), 4 * kRounds);
  EXPECT_EQ(figures.count("waits_for_a_slot"), 4 * kRounds);
  EXPECT_EQ(figures.count("device_to_host_bytes"), 12 * kRounds);
  EXPECT_DOUBLE_EQ(figures.number("kernel_seconds"), 5e-9 * kRounds);
  EXPECT_DOUBLE_EQ(figures.number("cpu_overlap_share"), 1);
}

TEST(DeviceActivity, HasEveryFigureInTheDocumentation) {
  std::ifstream file(PENSTOCK_SOURCE_DIR "/docs/summary.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text, HasSubstr("`profile`"));
  for (const Result& result : DeviceActivity().results(1, 1)) {
    EXPECT_THAT(text, HasSubstr("`" + result.name + "`"));
  }
}

}  // namespace
}  // namespace penstock::gpu
