#include "apps/graph_command.h"

#include "apps/exit_status.h"
#include "apps/graph_text.h"
#include "apps/standard_streams.h"
#include "pipeline/config.h"
#include "pipeline/pipeline.h"

namespace penstock {

int graph_command(const ConfigText& text,
                  const std::vector<std::string>& overrides,
                  const std::string& format,
                  const StageRegistry& registry) {
  const Pipeline pipeline(load_config(text, registry, overrides), registry);
  const GraphDescription graph = pipeline.graph();
  write_standard_output(format == "dot" ? to_dot(graph) : to_mermaid(graph));
  return kExitSuccess;
}

}  // namespace penstock
