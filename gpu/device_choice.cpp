#include "gpu/device_choice.h"

#include <charconv>
#include <stdexcept>
#include <string_view>

namespace penstock::gpu {

DeviceChoice parse_device_choice(const std::string& text) {
  constexpr std::string_view kNumbered = "cuda:";
  if (text == "auto") {
    return {DeviceChoice::Kind::kAuto, 0};
  }
  if (text == "cpu") {
    return {DeviceChoice::Kind::kCpu, 0};
  }
  if (text == "cuda") {
    return {DeviceChoice::Kind::kCuda, 0};
  }
  if (text.starts_with(kNumbered)) {
    int number = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + kNumbered.size(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end && number >= 0) {
      return {DeviceChoice::Kind::kCuda, number};
    }
  }
  throw std::invalid_argument("got '" + text +
                              "', expected auto, cpu, cuda, or cuda:N for the N-th device from 0");
}

void check_cuda_device_exists(int number, const CudaAvailability& cuda) {
  if (!cuda.available) {
    throw std::runtime_error(cuda.reason + "; kind: auto or cpu runs without one");
  }
  if (number >= cuda.num_devices) {
    const std::string last = std::to_string(cuda.num_devices - 1);
    throw std::runtime_error("there is no CUDA device " + std::to_string(number) +
                             ": this machine has " + std::to_string(cuda.num_devices) + " (cuda:0" +
                             (cuda.num_devices > 1 ? " to cuda:" + last : "") + ")");
  }
}

ChosenDevice open_device(const DeviceChoice& choice) {
  if (choice.kind == DeviceChoice::Kind::kCpu) {
    return {make_host_device(), "cpu, as configured"};
  }
  const CudaAvailability cuda = cuda_availability();
  if (choice.kind == DeviceChoice::Kind::kCuda) {
    check_cuda_device_exists(choice.number, cuda);
    std::unique_ptr<Device> device = make_cuda_device(choice.number);
    std::string name = device->describe();
    return {std::move(device), name + ", as configured"};
  }
  if (!cuda.available) {
    return {make_host_device(), "cpu, because " + cuda.reason};
  }
  std::unique_ptr<Device> device = make_cuda_device(0);
  std::string name = device->describe();
  return {std::move(device), name + ", the first CUDA device"};
}

}  // namespace penstock::gpu
