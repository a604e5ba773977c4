#include <stdexcept>

#include "gpu/device_stage.h"
#include "gpu/host/checksum_stage.h"

namespace penstock::gpu {

std::vector<std::string> host_device_stages() {
  return {"checksum"};
}

std::unique_ptr<DeviceStage> make_host_device_stage(const std::string& name) {
  if (name == "checksum") {
    return std::make_unique<ChecksumStage>();
  }
  throw std::logic_error("the host backend has no device stage '" + name + "'");
}

}  // namespace penstock::gpu
