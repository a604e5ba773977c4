#include "gpu/register_device.h"

#include "gpu/device_stage.h"
#include "gpu/host/host_feeder.h"

namespace penstock {

void register_device(StageRegistry& registry) {
  StageType type;
  type.name = "device";
  type.summary = "Copies batches to a device and runs a device stage on each of them.";
  type.input = Payload::kBatch;
  type.ordering = Ordering::kInOrder;
  type.options = {
      Option::choice("kind",
                     "Where the device stage runs. `auto` takes the best device that this build "
                     "can use; `cpu` is the host backend, which needs no GPU.",
                     {"auto", "cpu"})
          .or_else(std::string("auto")),
      Option::choice("stage",
                     "What runs for each batch. `checksum` proves that every token arrived once, "
                     "whole and in order.",
                     gpu::host_device_stages())
          .or_else(std::string("checksum")),
  };
  type.factory = SinkFactory([](const StageConfig& config, const BuildContext& context) {
    return std::make_unique<gpu::HostFeeder>(gpu::make_host_device_stage(config.text("stage")),
                                             context.own_row);
  });
  registry.add(std::move(type));
}

}  // namespace penstock
