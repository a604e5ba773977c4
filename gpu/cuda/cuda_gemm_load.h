#pragma once

#include <memory>

#include "gpu/device_stage_type.h"

namespace penstock::gpu {

std::unique_ptr<DeviceStage> make_cuda_gemm_load(const StageConfig& config,
                                                 const DeviceStageContext& context);

}  // namespace penstock::gpu
