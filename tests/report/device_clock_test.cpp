#include "report/device_clock.h"

#include <cmath>
#include <string_view>

#include <gtest/gtest.h>

namespace penstock {
namespace {

Span span(std::string_view device, std::string_view track, std::int64_t begin, std::int64_t end) {
  Span span;
  span.name = "kernel";
  span.device = device;
  span.track_name = track;
  span.begin_ns = begin;
  span.end_ns = end;
  return span;
}

TEST(DeviceClock, AddsUpWhatTheFirstDeviceComputes) {
  DeviceClock clock;
  clock.add(span("", "worker", 0, 50));
  clock.add(span("cuda:0", "copy stream", 60, 90));
  EXPECT_EQ(clock.read().end_ns, 0);
  clock.add(span("cuda:0", "compute stream", 100, 200));
  const DeviceClock::Reading begin = clock.read();
  clock.add(span("cuda:0", "compute stream", 150, 250));  // beside the one before
  clock.add(span("cuda:1", "compute stream", 250, 400));
  clock.add(span("cuda:0", "compute stream", 275, 300));
  EXPECT_EQ(clock.read().busy_ns, 175);
  EXPECT_DOUBLE_EQ(DeviceClock::busy_share(begin, clock.read()), 0.75);
}

TEST(DeviceClock, KnowsNoShareOfTimeInWhichItHeardOfNothing) {
  DeviceClock clock;
  EXPECT_TRUE(std::isnan(DeviceClock::busy_share({}, clock.read())));
  clock.add(span("cuda:0", "compute stream", 100, 200));
  EXPECT_TRUE(std::isnan(DeviceClock::busy_share(clock.read(), clock.read())));
}

}  // namespace
}  // namespace penstock
