#include "apps/stages_command.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "apps/exit_status.h"
#include "apps/standard_streams.h"
#include "pipeline/config.h"
#include "pipeline/option.h"

namespace penstock {
namespace {

std::string payloads(const StageType& type) {
  if (type.input == Payload::kNone) {
    return "-> " + to_string(type.output);
  }
  if (type.output == Payload::kNone) {
    return to_string(type.input) + " ->";
  }
  return to_string(type.input) + " -> " + to_string(type.output);
}

std::vector<const StageType*> in_pipeline_order(const StageRegistry& registry) {
  std::vector<const StageType*> types;
  for (const auto& [name, type] : registry.types()) {
    types.push_back(&type);
  }
  std::stable_sort(types.begin(), types.end(), [](const StageType* left, const StageType* right) {
    return left->input < right->input;
  });
  return types;
}

}  // namespace

std::string stage_list(const StageRegistry& registry) {
  const std::vector<const StageType*> types = in_pipeline_order(registry);
  std::size_t name_width = 0;
  std::size_t payload_width = 0;
  for (const StageType* type : types) {
    name_width = std::max(name_width, type->name.size());
    payload_width = std::max(payload_width, payloads(*type).size());
  }
  std::string text;
  for (const StageType* type : types) {
    text += fmt::format("{:<{}}  {:<{}}  {}{}\n",
                        type->name,
                        name_width,
                        payloads(*type),
                        payload_width,
                        type->summary,
                        type->plugin.empty() ? "" : " (" + type->plugin + ")");
  }
  return text;
}

int list_stages_command(const StageRegistry& registry) {
  write_standard_output(stage_list(registry) +
                        "\n'penstock stages NAME' shows the options of a stage.\n");
  return kExitSuccess;
}

int describe_stage_command(const std::string& name, const StageRegistry& registry) {
  const StageType* type = registry.find(name);
  if (type == nullptr) {
    const std::optional<std::string> likely = nearest(name, registry.names());
    write_standard_error(
        fmt::format("penstock: there is no stage '{}'{}; 'penstock stages' lists them\n",
                    name,
                    likely ? " (did you mean '" + *likely + "'?)" : ""));
    return kExitUsage;
  }
  write_standard_output(describe_stage(*type));
  return kExitSuccess;
}

int configuration_reference_command(const StageRegistry& registry) {
  write_standard_output(configuration_reference(registry));
  return kExitSuccess;
}

}  // namespace penstock
