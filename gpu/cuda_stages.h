#pragma once

#include "gpu/device_stage_type.h"

namespace penstock::gpu {

// The CUDA backends of the built-in device stages; empty in a build without CUDA.
struct CudaStages {
  DeviceStageFactory checksum;
  DeviceStageFactory gemm_load;
  DeviceStageFactory lm_score;
  DeviceStageFactory lm_train;
};
CudaStages cuda_stages();

}  // namespace penstock::gpu
