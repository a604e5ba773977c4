#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/option.h"
#include "pipeline/stage_config.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// A checked configuration as plain values.
struct PipelineConfig {
  std::string path;                 // of the file; empty where it was read from text
  StageConfig run;                  // the top-level options, see run_options()
  std::vector<StageConfig> stages;  // in file order: source, transforms, assembler, sinks
};

// The declared options of a run: threads, memory_limit, on_error, max_errors, quarantine,
// run_folder, plugins, and those of checkpoints.
const std::vector<Option>& run_options();

// The option that every source and transform has beside its own: on_error, by default the run's.
const Option& on_error_option();

// A configuration file as it was read. Once, because it may be a pipe.
struct ConfigText {
  std::string path;  // as it was given, for messages
  std::string yaml;  // all that it holds
};
// Throws FileError where the file cannot be read.
ConfigText read_config(std::string path);

// Reads and checks a configuration. `overrides` are "KEY=VALUE" with KEY `option` for the run,
// `stage.option`, or `stage[n].option` where a stage stands more than once (n counts from 0).
// VALUE is YAML. Checks names, types, ranges, choices, required options, that the chain begins
// with a source, has one assembler and ends with sinks, and that neighbours' payloads fit. Throws
// ConfigError with every problem at once; FileError where the file cannot be read.
PipelineConfig load_config(const std::string& path,
                           const StageRegistry& registry,
                           const std::vector<std::string>& overrides = {});
// The same of a file that has been read.
PipelineConfig load_config(const ConfigText& text,
                           const StageRegistry& registry,
                           const std::vector<std::string>& overrides = {});
// Loads the plug-ins that the configuration names into `registry`: to be called before load_config,
// with the same text and overrides. Throws ConfigError with every plug-in that cannot be used. What
// else is wrong with the file is left to load_config.
void load_plugins(const ConfigText& text,
                  StageRegistry& registry,
                  const std::vector<std::string>& overrides = {});
// load_config from text; `name` stands for the file in messages.
PipelineConfig parse_config(std::string_view yaml,
                            const std::string& name,
                            const StageRegistry& registry,
                            const std::vector<std::string>& overrides = {});

// The stages' names, with [n] behind one that stands more than once.
std::vector<std::string> stage_labels(const std::vector<StageConfig>& stages);

// docs/configuration.md: every run option and every stage with its options, from the declarations.
std::string configuration_reference(const StageRegistry& registry);
// One stage's part of it, as plain text for a terminal.
std::string describe_stage(const StageType& type);

}  // namespace penstock
