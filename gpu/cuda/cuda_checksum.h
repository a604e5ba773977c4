#pragma once

#include <memory>
#include <string>

#include "gpu/device_stage.h"

namespace penstock::gpu {

std::unique_ptr<DeviceStage> make_cuda_checksum(const std::string& resume_folder);

}  // namespace penstock::gpu
