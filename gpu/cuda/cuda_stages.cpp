#include "gpu/cuda_stages.h"

#include "gpu/cuda/cuda_checksum.h"
#include "gpu/cuda/cuda_gemm_load.h"
#include "gpu/cuda/cuda_lm_score.h"
#include "gpu/cuda/cuda_trainer.h"

namespace penstock::gpu {

CudaStages cuda_stages() {
  return {[](const StageConfig&, const DeviceStageContext& context) {
            return make_cuda_checksum(context.resume_folder);
          },
          make_cuda_gemm_load,
          make_cuda_lm_score,
          make_cuda_lm_train};
}

}  // namespace penstock::gpu
