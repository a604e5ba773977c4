#include <stdexcept>

#include "gpu/cuda_stages.h"
#include "gpu/device.h"
#include "gpu/device_profiler.h"
#include "gpu/generator.h"

namespace penstock::gpu {

CudaAvailability cuda_availability() {
  return {false,
          "this penstock was built without CUDA (scripts/build cuda penstock builds it with CUDA)"};
}

std::unique_ptr<Device> make_cuda_device(int) {
  throw std::runtime_error(cuda_availability().reason);
}

std::unique_ptr<DeviceProfiler> make_cuda_profiler(const Device&, Metrics&, const std::string&) {
  return nullptr;
}

std::unique_ptr<Generator> make_cuda_generator(const TransformerWeights&, const GeneratorOptions&) {
  throw std::runtime_error(cuda_availability().reason);
}

CudaStages cuda_stages() {
  return {};
}

}  // namespace penstock::gpu
