#include <utility>
#include <vector>

#include "gpu/host/host_trainer.h"
#include "gpu/lm_train.h"

namespace penstock::gpu {

std::unique_ptr<DeviceStage> make_host_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context) {
  auto [options, parameters] = begin_lm_train(config, context);
  auto trainer = std::make_unique<HostTrainer>(options.shape,
                                               options.optimizer,
                                               std::move(parameters),
                                               context.shape.positions(),
                                               options.tile,
                                               context.threads);
  return make_lm_train(options, std::move(trainer), config, context);
}

}  // namespace penstock::gpu
