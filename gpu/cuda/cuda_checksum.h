#pragma once

#include <memory>

#include "gpu/device_stage.h"

namespace penstock::gpu {

std::unique_ptr<DeviceStage> make_cuda_checksum();

}  // namespace penstock::gpu
