#include "report/periodic_call.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

namespace penstock {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(PeriodicCall, CallsAgainAndAgain) {
  std::promise<void> third_call;
  int calls = 0;
  PeriodicCall call(milliseconds(1), [&] {
    if (++calls == 3) {
      third_call.set_value();
    }
  });
  third_call.get_future().wait();
  call.stop();
  EXPECT_GE(calls, 3);
}

TEST(PeriodicCall, StopsWithoutWaitingForThePeriod) {
  std::atomic<int> calls{0};
  const auto start = std::chrono::steady_clock::now();
  PeriodicCall call(hours(1), [&] { ++calls; });
  call.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
  EXPECT_EQ(calls, 0);
}

TEST(PeriodicCall, CanBeStoppedTwice) {
  std::atomic<int> calls{0};
  PeriodicCall call(hours(1), [&] { ++calls; });
  call.stop();
  call.stop();
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace penstock
