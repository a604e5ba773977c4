#include "gpu/register_device.h"

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gpu/device_choice.h"
#include "gpu/device_feeder.h"
#include "gpu/device_profiler.h"
#include "gpu/device_stage_type.h"
#include "gpu/report_file.h"

namespace penstock {
namespace {

gpu::DeviceChoice device_choice(const StageConfig& config) {
  try {
    return gpu::parse_device_choice(config.text("kind"));
  } catch (const std::invalid_argument& error) {
    throw config.error("kind", error.what());
  }
}

using DeviceStages = std::map<std::string, gpu::DeviceStageType>;

std::unique_ptr<gpu::DeviceStage> make_stage(const gpu::DeviceStageType& type,
                                             const StageConfig& config,
                                             const gpu::DeviceStageContext& context,
                                             gpu::Backend backend) {
  const gpu::DeviceStageFactory& make =
      backend == gpu::Backend::kCuda ? type.on_cuda : type.on_host;
  if (!make) {
    throw config.error("stage", "'" + type.name + "' cannot run on this kind of device");
  }
  return make(config, context);
}

std::function<void(const gpu::Report&)> report_writer(const StageConfig& config,
                                                      const BuildContext& context) {
  const std::string& path = config.text("reports");
  if (path.empty()) {
    return {};
  }
  try {
    context.files.add_output(path);
    auto file = std::make_shared<gpu::ReportFile>(path);
    return [file](const gpu::Report& report) { file->add(report); };
  } catch (const std::runtime_error& error) {
    throw config.error("reports", error.what());
  }
}

// Where what is wrong is an option of the stage's own.
void rethrow_config_error(const std::exception& error) {
  try {
    std::rethrow_if_nested(error);
  } catch (const ConfigError&) {
    throw;
  } catch (...) {
  }
}

std::unique_ptr<Sink> make_feeder(const DeviceStages& stages,
                                  const StageConfig& config,
                                  const BuildContext& context) {
  if (!context.stream.batch_shape) {
    throw std::logic_error("the assembler before 'device' did not say what shape its batches have");
  }
  gpu::DeviceFeeder::Setup setup;
  setup.open_device = [choice = device_choice(config)] { return gpu::open_device(choice); };
  setup.stage_name = config.text("stage");
  setup.shape = *context.stream.batch_shape;
  setup.make_stage = [&](gpu::Device& device) {
    const gpu::DeviceStageContext stage_context{*context.stream.batch_shape,
                                                context.stream,
                                                context.files,
                                                2 * config.integer("slots") + 1,
                                                context.threads,
                                                &device,
                                                context.read_batches};
    return make_stage(stages.at(config.text("stage")), config, stage_context, device.backend());
  };
  if (config.boolean("profile")) {
    setup.make_profiler = [&](gpu::Device& device) -> std::unique_ptr<gpu::DeviceProfiler> {
      if (device.backend() != gpu::Backend::kCuda) {
        return nullptr;
      }
      return gpu::make_cuda_profiler(device, context.metrics, context.own_row.name);
    };
  }
  setup.num_slots = static_cast<int>(config.integer("slots"));
  setup.report_every = config.integer("report_every");
  setup.on_report = report_writer(config, context);
  try {
    return std::make_unique<gpu::DeviceFeeder>(std::move(setup), context.own_row);
  } catch (const StageError& error) {
    rethrow_config_error(error);
    throw config.error("stage", full_message(error));
  } catch (const std::runtime_error& error) {
    throw config.error("kind", full_message(error));
  }
}

// The choices of `stage`, and what each of them means.
Option stage_option(const DeviceStages& stages) {
  std::vector<std::string> names;
  std::string summary = "What runs for each batch.";
  for (const auto& [name, type] : stages) {
    names.push_back(name);
    summary += " " + name + ": " + type.summary;
  }
  return Option::choice("stage", std::move(summary), std::move(names))
      .or_else(std::string("checksum"));
}

}  // namespace

void register_device(StageRegistry& registry) {
  DeviceStages stages;
  for (gpu::DeviceStageType& type : gpu::built_in_device_stages()) {
    stages.emplace(type.name, std::move(type));
  }
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
      stage_option(stages),
      Option::integer("slots",
                      "Staging slots: batches that are copied or computed at the same time. Each "
                      "takes one batch of page-locked host memory and of device memory.")
          .in_range(1, 64)
          .or_else(std::int64_t{2}),
      Option::integer("report_every",
                      "After how many batches the device stage's figures come back, without "
                      "anything waiting for them.")
          .in_range(1, 1e9)
          .or_else(std::int64_t{100}),
      Option::text("reports",
                   "Path of a JSON-lines file, in a folder that exists, that gets the device "
                   "stage's figures every report_every batches, as the run goes on. The first one "
                   "replaces an older file. Empty is none.")
          .or_else(std::string()),
      Option::boolean("profile",
                      "Observe a CUDA device through CUPTI, for the figures of the summary and the "
                      "streams of a trace. To be switched off when another profiler is used.")
          .or_else(true),
  };
  for (const auto& [name, stage] : stages) {
    for (const Option& option : stage.options) {
      type.options.push_back(Option(option).only_with("stage", name));
    }
  }
  type.factory = SinkFactory(
      [stages = std::move(stages)](const StageConfig& config, const BuildContext& context) {
        return make_feeder(stages, config, context);
      });
  registry.add(std::move(type));
}

}  // namespace penstock
