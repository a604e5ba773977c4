#include "pipeline/metrics.h"

#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace penstock {
namespace {

// Lets the clock tick.
void pass_time() {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::microseconds(100)) {
  }
}

TEST(Metrics, CountsACallThatIsUnderWay) {
  BusyClock clock;
  EXPECT_EQ(clock.total_ns(), 0);
  std::optional<BusyTimer> timer(std::in_place, clock);
  pass_time();
  EXPECT_GE(clock.under_way_ns(), 100'000);
  EXPECT_GE(clock.total_ns(), 100'000);
  timer.reset();
  EXPECT_EQ(clock.under_way_ns(), 0);
  const std::int64_t total = clock.total_ns();
  EXPECT_GE(total, 100'000);
  pass_time();
  EXPECT_EQ(clock.total_ns(), total);
}

TEST(Metrics, AddsUpOverThreads) {
  BusyClock clock;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const BusyTimer timer(clock);
        pass_time();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_GE(clock.total_ns(), 4 * 50 * 100'000);
  EXPECT_EQ(clock.under_way_ns(), 0);
}

}  // namespace
}  // namespace penstock
