#pragma once

#include <memory>
#include <string>

#include "gpu/device.h"

namespace penstock::gpu {

// What `device: {kind: ...}` asks for.
struct DeviceChoice {
  enum class Kind { kAuto, kCpu, kCuda } kind = Kind::kAuto;
  int number = 0;  // of the CUDA device
};

// Reads auto, cpu, cuda or cuda:N. Throws std::invalid_argument saying what was got and expected.
DeviceChoice parse_device_choice(const std::string& text);

// A device and, where it was chosen automatically, why.
struct ChosenDevice {
  std::unique_ptr<Device> device;
  std::string explanation;  // "cpu, because no usable CUDA device: ..."
};

// Throws std::runtime_error, with advice, where there is no CUDA device of that number.
void check_cuda_device_exists(int number, const CudaAvailability& cuda);

// On the device thread. Throws std::runtime_error where the device that is asked for is not there.
ChosenDevice open_device(const DeviceChoice& choice);

}  // namespace penstock::gpu
