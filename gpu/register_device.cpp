#include "gpu/register_device.h"

#include <stdexcept>

#include "gpu/device_choice.h"
#include "gpu/device_feeder.h"

namespace penstock {
namespace {

gpu::DeviceChoice device_choice(const StageConfig& config) {
  try {
    return gpu::parse_device_choice(config.text("kind"));
  } catch (const std::invalid_argument& error) {
    throw config.error("kind", error.what());
  }
}

std::unique_ptr<Sink> make_feeder(const StageConfig& config, const BuildContext& context) {
  if (!context.stream.batch_shape) {
    throw std::logic_error("the assembler before 'device' did not say what shape its batches have");
  }
  const BatchShape shape = *context.stream.batch_shape;
  gpu::DeviceFeeder::Setup setup;
  setup.open_device = [choice = device_choice(config)] { return gpu::open_device(choice); };
  setup.make_stage = [config, shape](gpu::Device& device) {
    return device.make_stage(config.text("stage"), config, shape);
  };
  setup.shape = shape;
  setup.num_slots = static_cast<int>(config.integer("slots"));
  try {
    return std::make_unique<gpu::DeviceFeeder>(std::move(setup), context.own_row);
  } catch (const std::runtime_error& error) {
    throw config.error("kind", error.what());
  }
}

}  // namespace

void register_device(StageRegistry& registry) {
  StageType type;
  type.name = "device";
  type.summary = "Copies batches to a device and runs a device stage on each of them.";
  type.input = Payload::kBatch;
  type.ordering = Ordering::kInOrder;
  type.options = {
      Option::text("kind",
                   "Where the device stage runs: auto, cpu, cuda or cuda:N. auto takes the first "
                   "CUDA device, or the CPU where there is none, and the summary says why; cpu is "
                   "the host backend, which needs no GPU.")
          .or_else(std::string("auto")),
      Option::choice("stage",
                     "What runs for each batch. checksum proves that every token arrived once, "
                     "whole and in order.",
                     {"checksum"})
          .or_else(std::string("checksum")),
      Option::integer("slots",
                      "Staging slots: batches that are copied or computed at the same time. Each "
                      "takes one batch of page-locked host memory and of device memory.")
          .in_range(1, 64)
          .or_else(std::int64_t{2}),
  };
  type.factory = SinkFactory(make_feeder);
  registry.add(std::move(type));
}

}  // namespace penstock
