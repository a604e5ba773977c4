#include <algorithm>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gpu/host/host_trainer.h"
#include "gpu/host/host_transformer.h"
#include "gpu/lm_train.h"
#include "pipeline/option.h"

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

// Memory that is asked for without a look at how much there is would be taken from whoever has it.
void check_memory(const LmTrainOptions& options, const BatchShape& batches) {
  const std::optional<std::int64_t> available = available_memory();
  if (!available) {
    return;
  }
  const TransformerShape& shape = options.shape;
  constexpr std::int64_t kCopies = 5;  // parameters, gradient, two moments, and what they began as
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(float));
  const std::int64_t for_model =
      kBytes * (kCopies * transformer_layout(shape, 1).size +
                std::min(options.tile, batches.positions()) * shape.vocabulary);
  const std::int64_t for_row = HostTransformer::bytes_per_position(shape) * batches.sequence_length;
  const std::int64_t needed = for_model + for_row * batches.batch_size;
  if (needed <= *available) {
    return;
  }
  const std::int64_t rows = (*available - for_model) / for_row;
  throw std::runtime_error("lm_train needs " + format_bytes(needed) +
                           " of memory on the CPU for batches of " +
                           std::to_string(batches.batch_size) + " rows, and " +
                           format_bytes(*available) + " are available: " +
                           (rows > 0 ? "lower batch_size to " + std::to_string(rows) + " or less"
                                     : std::string("take a smaller model or a smaller tile")) +
                           ", or train on a GPU");
}

}  // namespace

std::unique_ptr<DeviceStage> make_host_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context) {
  auto [options, parameters] = begin_lm_train(config, context);
  check_memory(options, context.shape);
  auto trainer = std::make_unique<HostTrainer>(options.shape,
                                               options.optimizer,
                                               std::move(parameters),
                                               context.shape.positions(),
                                               options.tile,
                                               context.threads);
  return make_lm_train(options, std::move(trainer), config, context);
}

}  // namespace penstock::gpu
