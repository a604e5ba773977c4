#include "apps/validate_command.h"

#include "apps/exit_status.h"
#include "apps/standard_streams.h"
#include "pipeline/config.h"
#include "pipeline/pipeline.h"

namespace penstock {

int validate_command(const std::string& config_path,
                     const std::vector<std::string>& overrides,
                     const StageRegistry& registry) {
  const PipelineConfig config = load_config(config_path, registry, overrides);
  const Pipeline pipeline(config, registry);
  std::string text = config_path + " is valid:";
  const char* separator = " ";
  for (const StageConfig& stage : config.stages) {
    text += separator + stage.stage();
    separator = " -> ";
  }
  text += '\n';
  for (const StageSummary& stage : pipeline.progress().stages) {
    if (!stage.note.empty()) {
      text += "  " + stage.name + ": " + stage.note + '\n';
    }
  }
  write_standard_output(text);
  return kExitSuccess;
}

}  // namespace penstock
