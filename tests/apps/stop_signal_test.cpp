#include "apps/stop_signal.h"

#include <csignal>
#include <future>

#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

void send(int signal) {
  ASSERT_EQ(::kill(::getpid(), signal), 0);
}

// Returns once `token` has been asked to stop.
void wait_for_stop(const std::stop_token& token) {
  std::promise<void> stopped;
  const std::stop_callback callback(token, [&] { stopped.set_value(); });
  stopped.get_future().wait();
}

TEST(StopSignal, AsksToStopOnTheFirstSignal) {
  StopSignal signals([](int) { FAIL() << "called although the work ended"; }, hours(1));
  send(SIGINT);
  wait_for_stop(signals.source().get_token());
  signals.end();
  EXPECT_EQ(signals.received(), SIGINT);
}

TEST(StopSignal, TellsSigtermApart) {
  StopSignal signals([](int) { FAIL() << "called although the work ended"; }, hours(1));
  send(SIGTERM);
  wait_for_stop(signals.source().get_token());
  signals.end();
  EXPECT_EQ(signals.received(), SIGTERM);
}

TEST(StopSignal, CallsOverdueWhenTheWorkDoesNotEnd) {
  std::promise<int> overdue;
  StopSignal signals([&](int signal) { overdue.set_value(signal); }, milliseconds(1));
  send(SIGINT);
  EXPECT_EQ(overdue.get_future().get(), SIGINT);
}

TEST(StopSignal, CallsOverdueAtOnceOnASecondSignal) {
  std::promise<int> overdue;
  StopSignal signals([&](int signal) { overdue.set_value(signal); }, hours(1));
  send(SIGINT);
  wait_for_stop(signals.source().get_token());
  send(SIGTERM);
  EXPECT_EQ(overdue.get_future().get(), SIGINT);
}

TEST(StopSignal, CallsOverdueWhileWhoeverIsToldToStopHangs) {
  std::promise<void> overdue;
  const std::shared_future<void> is_overdue = overdue.get_future().share();
  StopSignal signals([&](int) { overdue.set_value(); }, milliseconds(1));
  const std::stop_callback hang(signals.source().get_token(), [&] { is_overdue.wait(); });
  send(SIGINT);
  is_overdue.wait();
  EXPECT_EQ(signals.received(), SIGINT);
}

TEST(StopSignal, EndsWithoutASignal) {
  StopSignal signals([](int) { FAIL() << "called without a signal"; }, milliseconds(1));
  signals.end();
  EXPECT_EQ(signals.received(), 0);
  EXPECT_FALSE(signals.source().stop_requested());
}

TEST(StopSignalDeathTest, GivesSignalsTheirActionBack) {
  const auto release_and_send = [] {
    StopSignal signals([](int) { FAIL() << "called although the work ended"; }, hours(1));
    signals.release();
    send(SIGINT);
  };
  EXPECT_EXIT(release_and_send(), testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignalDeathTest, LetsSignalsActThatCameBeforeTheRelease) {
  const auto send_and_release = [] {
    StopSignal signals([](int) { FAIL() << "called although the work ended"; }, hours(1));
    signals.end();
    send(SIGTERM);
    signals.release();
  };
  EXPECT_EXIT(send_and_release(), testing::KilledBySignal(SIGTERM), "");
}

TEST(StopSignal, SwallowsSignalsThatComeAfterTheEnd) {
  {
    StopSignal signals([](int) { FAIL() << "called although the work ended"; }, hours(1));
    signals.end();
    send(SIGINT);
  }
  sigset_t pending;
  ASSERT_EQ(sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&pending, SIGINT), 0);
}

}  // namespace
}  // namespace penstock
