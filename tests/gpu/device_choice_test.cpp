#include "gpu/device_choice.h"

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

TEST(DeviceChoice, ReadsWhatTheOptionAllows) {
  EXPECT_EQ(parse_device_choice("auto").kind, DeviceChoice::Kind::kAuto);
  EXPECT_EQ(parse_device_choice("cpu").kind, DeviceChoice::Kind::kCpu);
  EXPECT_EQ(parse_device_choice("cuda").number, 0);
  EXPECT_EQ(parse_device_choice("cuda:3").number, 3);
  EXPECT_EQ(parse_device_choice("cuda:3").kind, DeviceChoice::Kind::kCuda);
}

TEST(DeviceChoice, RefusesAnythingElse) {
  for (const char* text : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "CPU"}) {
    EXPECT_THROW(parse_device_choice(text), std::invalid_argument) << text;
  }
}

TEST(DeviceChoice, SaysWhyItTookTheCpu) {
  if (cuda_availability().available) {
    GTEST_SKIP() << "this machine has a CUDA device";
  }
  const ChosenDevice chosen = open_device({DeviceChoice::Kind::kAuto, 0});
  EXPECT_EQ(chosen.device->describe(), "cpu");
  EXPECT_THAT(chosen.explanation, ::testing::HasSubstr("cpu, because "));
}

TEST(DeviceChoice, RefusesADeviceThatIsNotThere) {
  EXPECT_THROW(open_device({DeviceChoice::Kind::kCuda, 1000}), std::runtime_error);
}

}  // namespace
}  // namespace penstock::gpu
