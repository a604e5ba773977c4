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
#include "pipeline/continued_path.h"

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

constexpr const char* kDevice = "device";
constexpr const char* kDefaultStage = "checksum";

std::unique_ptr<gpu::DeviceStage> make_stage(const gpu::DeviceStageType& type,
                                             const StageConfig& config,
                                             const gpu::DeviceStageContext& context,
                                             gpu::Backend backend) {
  const gpu::DeviceStageFactory& make =
      backend == gpu::Backend::kCuda ? type.on_cuda : type.on_host;
  if (!make) {
    throw config.error("stage",
                       quoted_name(type.name, type.plugin) + " does not run on " +
                           (backend == gpu::Backend::kCuda ? "CUDA; kind: cpu runs it"
                                                           : "the CPU; it needs a CUDA device"));
  }
  std::unique_ptr<gpu::DeviceStage> stage = make(config, context);
  if (!stage) {
    throw std::logic_error("its factory gave nothing");
  }
  return stage;
}

std::string resume_folder(const BuildContext& context) {
  return context.resume == nullptr ? "" : context.resume->folder + "/" + context.own_row.name;
}

std::int64_t first_batch(const BuildContext& context) {
  return context.resume == nullptr ? 0 : context.resume->position.next_batch;
}

// As gpu::open_device, but a stage that has nothing for CUDA is not brought there unasked.
gpu::ChosenDevice open_device(const gpu::DeviceStageType& type, const gpu::DeviceChoice& choice) {
  if (choice.kind == gpu::DeviceChoice::Kind::kAuto && !type.on_cuda &&
      gpu::cuda_availability().available) {
    return {gpu::make_host_device(),
            "cpu, because " + quoted_name(type.name, type.plugin) + " does not run on CUDA"};
  }
  return gpu::open_device(choice);
}

// Null where no file is asked for.
std::shared_ptr<gpu::ReportFile> open_report_file(const StageConfig& config,
                                                  const BuildContext& context) {
  std::string path = config.text("reports");
  if (path.empty()) {
    return nullptr;
  }
  if (context.resume != nullptr) {
    path = continued_path(path, context.resume->position.next_batch);
  }
  try {
    context.files.add_output(path);
    return std::make_shared<gpu::ReportFile>(path);
  } catch (const std::runtime_error& error) {
    throw config.error("reports", error.what());
  }
}

// The feeder passes reports on to the file, if there is one, and to whoever listens to the run.
std::function<void(const gpu::Report&)> report_receiver(const StageConfig& config,
                                                        const BuildContext& context) {
  return [file = open_report_file(config, context),
          &metrics = context.metrics,
          &row = context.own_row](const gpu::Report& report) {
    if (file) {
      file->add(report);
    }
    metrics.pass_on_figures(row.name, report.num_batches, report.figures);
  };
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

std::function<void(std::vector<Result>)> figures_receiver(const BuildContext& context) {
  return [&metrics = context.metrics, &row = context.own_row](std::vector<Result> figures) {
    metrics.pass_on_figures(row.name, row.chunks, figures);
  };
}

std::unique_ptr<Sink> make_feeder(const DeviceStages& stages,
                                  const StageConfig& config,
                                  const BuildContext& context) {
  if (!context.stream.batch_shape) {
    throw std::logic_error("the assembler before 'device' did not say what shape its batches have");
  }
  const gpu::DeviceStageType& type = stages.at(config.text("stage"));
  gpu::DeviceFeeder::Setup setup;
  setup.open_device = [&type, choice = device_choice(config)] { return open_device(type, choice); };
  setup.stage_name = type.name;
  setup.stage_plugin = type.plugin;
  setup.shape = *context.stream.batch_shape;
  setup.make_stage = [&](gpu::Device& device) {
    const gpu::DeviceStageContext stage_context{*context.stream.batch_shape,
                                                context.stream,
                                                context.files,
                                                2 * config.integer("slots") + 1,
                                                context.threads,
                                                &device,
                                                context.read_batches,
                                                figures_receiver(context),
                                                resume_folder(context),
                                                context.makes_checkpoints,
                                                first_batch(context)};
    return make_stage(type, config, stage_context, device.backend());
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
  setup.on_report = report_receiver(config, context);
  if (stages.at(config.text("stage")).reports) {
    context.metrics.announce_figures();
  }
  context.own_row.plugin = stages.at(config.text("stage")).plugin;
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
  Option option = Option::choice("stage", std::move(summary), std::move(names));
  if (stages.contains(kDefaultStage)) {
    option.default_value = std::string(kDefaultStage);
  }
  return option;
}

// The factory of `device`, which knows the device stages.
struct MakeFeeder {
  std::unique_ptr<Sink> operator()(const StageConfig& config, const BuildContext& context) const {
    return make_feeder(stages, config, context);
  }

  DeviceStages stages;
};

StageType device_type(DeviceStages stages) {
  StageType type;
  type.name = kDevice;
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
  type.factory = SinkFactory(MakeFeeder{std::move(stages)});
  return type;
}

DeviceStages device_stages(const StageType& device) {
  const auto* make_sink = std::get_if<SinkFactory>(&device.factory);
  const auto* make_feeder = make_sink == nullptr ? nullptr : make_sink->target<MakeFeeder>();
  if (make_feeder == nullptr) {
    throw std::logic_error("the stage 'device' is not that of register_device()");
  }
  return make_feeder->stages;
}

}  // namespace

void gpu::add_device_stage(StageRegistry& registry, DeviceStageType type) {
  if (!type.on_host && !type.on_cuda) {
    throw std::logic_error("device stage '" + type.name + "' has no factory");
  }
  type.plugin = registry.plugin();
  const StageType* device = registry.find(kDevice);
  DeviceStages stages = device == nullptr ? DeviceStages() : device_stages(*device);
  std::string name = type.name;
  const auto [first, is_new] = stages.emplace(std::move(name), std::move(type));
  if (!is_new) {
    const std::string& plugin = first->second.plugin;
    throw std::logic_error("device stage '" + first->first + "' is registered twice" +
                           (plugin.empty() ? "" : ", first by plug-in " + plugin));
  }
  if (device == nullptr) {
    registry.add(device_type(std::move(stages)));
  } else {
    registry.replace(device_type(std::move(stages)));
  }
}

void register_device(StageRegistry& registry) {
  for (gpu::DeviceStageType& type : gpu::built_in_device_stages()) {
    gpu::add_device_stage(registry, std::move(type));
  }
}

}  // namespace penstock
