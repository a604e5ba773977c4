#include <utility>
#include <vector>

#include "gpu/host/host_trainer.h"
#include "gpu/lm_train.h"

namespace penstock::gpu {

std::unique_ptr<DeviceStage> make_host_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context) {
  auto [options, parameters] = begin_lm_train(config, context);
  return std::make_unique<LmTrain>(options,
                                   std::make_unique<HostTrainer>(options.shape,
                                                                 options.optimizer,
                                                                 std::move(parameters),
                                                                 context.shape.positions(),
                                                                 options.tile,
                                                                 context.threads));
}

}  // namespace penstock::gpu
