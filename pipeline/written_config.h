#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/config_issues.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// What was written for one option, not yet checked.
struct WrittenValue {
  ConfigPlace place;
  std::vector<std::string> scalars;  // none for an empty value
  bool is_sequence = false;
  std::string problem;  // why no option takes this; empty for scalars and lists of them
};

using WrittenOptions = std::map<std::string, WrittenValue>;

struct WrittenStage {
  std::string name;  // empty where the list element names no stage
  ConfigPlace place;
  WrittenOptions options;
  const StageType* type = nullptr;  // null where it is not known or cannot be read
};

// A configuration as it was written: names are checked, values are not.
struct WrittenConfig {
  WrittenOptions run;
  std::vector<WrittenStage> stages;
  bool has_list = false;  // `pipeline` is a list, so the stages are what was meant
};

// Reads a configuration's YAML. What cannot be read goes into `issues` and is left out.
WrittenConfig read_written_config(std::string_view yaml,
                                  const StageRegistry& registry,
                                  ConfigIssues& issues);

// Puts "KEY=VALUE" in the place of what the file says; see load_config.
void apply_override(const std::string& text,
                    const StageRegistry& registry,
                    WrittenConfig& config,
                    ConfigIssues& issues);

}  // namespace penstock
