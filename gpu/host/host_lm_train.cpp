#include <utility>
#include <vector>

#include "gpu/host/host_trainer.h"
#include "gpu/lm_train.h"

namespace penstock::gpu {

std::unique_ptr<DeviceStage> make_host_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context) {
  const LmTrainOptions options = read_lm_train_options(config, context);
  std::vector<float> parameters =
      initial_parameters(transformer_layout(options.shape, 1), options.seed);
  return std::make_unique<LmTrain>(options,
                                   std::make_unique<HostTrainer>(options.shape,
                                                                 options.optimizer,
                                                                 std::move(parameters),
                                                                 context.shape.positions(),
                                                                 options.tile,
                                                                 context.threads));
}

}  // namespace penstock::gpu
