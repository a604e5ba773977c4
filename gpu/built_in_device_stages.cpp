#include "gpu/checksum.h"
#include "gpu/cuda_stages.h"
#include "gpu/device_stage_type.h"
#include "gpu/gemm_load.h"
#include "gpu/lm_score.h"
#include "gpu/lm_train.h"

namespace penstock::gpu {

std::vector<DeviceStageType> built_in_device_stages() {
  const CudaStages cuda = cuda_stages();
  return {
      {"checksum",
       "Proves that every token arrived once, whole and in order.",
       {},
       [](const StageConfig&, const DeviceStageContext& context) {
         return make_host_checksum(context.resume_folder);
       },
       cuda.checksum},
      {"gemm_load",
       "Keeps the device busy for a given time with every batch, to measure the pipeline against a "
       "device of any speed.",
       gemm_load_options(),
       make_host_gemm_load,
       cuda.gemm_load},
      {"lm_score",
       "Predicts the token after every position with a small language model and compares it with "
       "the next one: loss, accuracy, perplexity of each document, samples.",
       lm_score_options(),
       make_host_lm_score,
       cuda.lm_score,
       true},
      {"lm_train",
       "Trains a transformer of GPT-2's architecture on every batch: loss, accuracy, norm of the "
       "gradient, tokens a second.",
       lm_train_options(),
       make_host_lm_train,
       cuda.lm_train,
       true},
  };
}

}  // namespace penstock::gpu
