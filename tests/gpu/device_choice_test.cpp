#include "gpu/device_choice.h"

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

// What check_cuda_device_exists() says; "" where it finds the device.
std::string refusal(int number, const CudaAvailability& cuda) {
  try {
    check_cuda_device_exists(number, cuda);
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

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

TEST(DeviceChoice, FindsEachDeviceThatIsThere) {
  const CudaAvailability cuda = {true, "", 2};
  EXPECT_EQ(refusal(0, cuda), "");
  EXPECT_EQ(refusal(1, cuda), "");
}

TEST(DeviceChoice, SaysWhichDevicesThereAre) {
  EXPECT_EQ(refusal(9, {true, "", 1}), "there is no CUDA device 9: this machine has 1 (cuda:0)");
  EXPECT_EQ(refusal(8, {true, "", 8}),
            "there is no CUDA device 8: this machine has 8 (cuda:0 to cuda:7)");
}

TEST(DeviceChoice, AdvisesWhereThereIsNoDevice) {
  EXPECT_EQ(refusal(0, {false, "no usable CUDA device: none is detected"}),
            "no usable CUDA device: none is detected; kind: auto or cpu runs without one");
}

TEST(DeviceChoice, GivesTheReasonOfThisMachineWhereItHasNoDevice) {
  const CudaAvailability cuda = cuda_availability();
  if (cuda.available) {
    GTEST_SKIP() << "this machine has a CUDA device";
  }
  EXPECT_THAT(cuda.reason,
              ::testing::AnyOf(::testing::HasSubstr("scripts/build cuda penstock"),
                               ::testing::HasSubstr("nvidia-smi")));
  EXPECT_EQ(cuda.num_devices, 0);
  EXPECT_THAT(
      [] {
        open_device({DeviceChoice::Kind::kCuda, 0});
      },
      ::testing::ThrowsMessage<std::runtime_error>(::testing::AllOf(
          ::testing::HasSubstr(cuda.reason), ::testing::HasSubstr("kind: auto or cpu"))));
}

}  // namespace
}  // namespace penstock::gpu
