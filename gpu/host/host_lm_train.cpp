#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gpu/host/host_trainer.h"
#include "gpu/host/host_transformer.h"
#include "gpu/lm_train.h"
#include "gpu/training_memory.h"

namespace penstock::gpu {
namespace {

// Of the machine; nothing where it does not tell.
std::optional<std::int64_t> available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string name, line; file >> name; std::getline(file, line)) {
    std::int64_t kibibytes = 0;
    if (name == "MemAvailable:" && file >> kibibytes) {
      return kibibytes * 1024;
    }
  }
  return std::nullopt;
}

// The system gives more than there is, and then takes it from whoever has it.
void check_memory(const LmTrainOptions& options, const DeviceStageContext& context) {
  const std::optional<std::int64_t> available = available_memory();
  if (!available) {
    return;
  }
  const TransformerShape& shape = options.shape;
  // Parameters, gradient, two moments, and what they began as; a checkpoint has its own.
  const std::int64_t copies = context.makes_checkpoints ? 9 : 5;
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(float));
  check_training_memory(
      {kBytes * (copies * transformer_layout(shape, 1).size +
                 std::min(options.tile, context.shape.positions()) * shape.vocabulary),
       HostTransformer::bytes_per_position(shape) * context.shape.sequence_length},
      *available,
      context.shape.batch_size,
      "on the CPU",
      ", or train on a GPU");
}

}  // namespace

std::unique_ptr<DeviceStage> make_host_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context) {
  auto [options, parameters] = begin_lm_train(config, context);
  check_memory(options, context);
  auto trainer = std::make_unique<HostTrainer>(options.shape,
                                               options.optimizer,
                                               std::move(parameters),
                                               context.shape.positions(),
                                               options.tile,
                                               context.threads);
  return make_lm_train(options, std::move(trainer), config, context);
}

}  // namespace penstock::gpu
