#include <stdexcept>

#include "gpu/device.h"

namespace penstock::gpu {

CudaAvailability cuda_availability() {
  return {false, "this penstock was built without CUDA; configure with cmake --preset cuda"};
}

std::unique_ptr<Device> make_cuda_device(int) {
  throw std::runtime_error(cuda_availability().reason);
}

}  // namespace penstock::gpu
