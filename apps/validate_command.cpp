#include "apps/validate_command.h"

#include "apps/exit_status.h"
#include "apps/standard_streams.h"
#include "pipeline/config.h"
#include "pipeline/pipeline.h"

namespace penstock {

int validate_command(const ConfigText& text,
                     const std::vector<std::string>& overrides,
                     const StageRegistry& registry) {
  const PipelineConfig config = load_config(text, registry, overrides);
  const Pipeline pipeline(config, registry);
  std::string lines = text.path + " is valid:";
  const char* separator = " ";
  for (const StageConfig& stage : config.stages) {
    lines += separator + stage.stage();
    separator = " -> ";
  }
  lines += '\n';
  for (const StageSummary& stage : pipeline.progress().stages) {
    if (!stage.note.empty()) {
      lines += "  " + stage.name + ": " + stage.note + '\n';
    }
  }
  write_standard_output(lines);
  return kExitSuccess;
}

}  // namespace penstock
