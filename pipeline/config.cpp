#include "pipeline/config.h"

#include <cerrno>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "pipeline/chain_check.h"
#include "pipeline/config_issues.h"
#include "pipeline/errors.h"
#include "pipeline/plugin_loader.h"
#include "pipeline/written_config.h"

namespace penstock {
namespace {

constexpr double kMinMemoryLimit = 1 << 20;
constexpr double kMaxThreads = 1024;
// More than parse_config takes, so that it sees a file that is too long and says so.
constexpr std::size_t kMaxReadBytes = std::size_t{2} << 20;

std::string of_stage(const std::string& stage) {
  return stage.empty() ? "" : " of stage '" + stage + "'";
}

OptionParse parse_threads(const std::string& text) {
  if (text == "auto") {
    return {text, ""};
  }
  const Option count = Option::integer("threads", "").in_range(1, kMaxThreads);
  const OptionParse parsed = parse_option(count, {text}, false);
  if (!parsed.value) {
    return {std::nullopt, parsed.error + " or auto"};
  }
  return {format_value(*parsed.value, count.type), ""};
}

OptionParse parse_max_errors(const std::string& text) {
  if (text == "none") {
    return {text, ""};
  }
  const Option bound = Option::number("max_errors", "").at_least(0);
  const OptionParse parsed = parse_option(bound, {text}, false);
  if (!parsed.value) {
    return {std::nullopt, parsed.error + " or none"};
  }
  const double value = std::get<double>(*parsed.value);
  if (value > 1 && value != std::floor(value)) {
    return {std::nullopt,
            "got '" + text + "', expected a share below 1, a whole number of records, or none"};
  }
  return {format_value(*parsed.value, bound.type), ""};
}

OptionParse parse_quarantine(const std::string& text) {
  if (text.empty()) {
    return {std::nullopt, "got '', expected the path of a file"};
  }
  return {text, ""};
}

OptionParse parse_checkpoint_folder(const std::string& text) {
  if (text.empty()) {
    return {std::nullopt, "got '', expected the path of a folder, or none"};
  }
  return {text, ""};
}

OptionParse parse_written(const std::string& stage,
                          const Option& option,
                          const WrittenValue& written) {
  if (!written.problem.empty()) {
    return {std::nullopt, written.problem};
  }
  OptionParse parsed = parse_option(option, written.scalars, written.is_sequence);
  if (!stage.empty() || !parsed.value) {
    return parsed;
  }
  // The options of a run that are text with a form of their own; they are put in a plain form.
  if (option.name == "threads") {
    return parse_threads(written.scalars.front());
  }
  if (option.name == "max_errors") {
    return parse_max_errors(written.scalars.front());
  }
  if (option.name == "quarantine") {
    return parse_quarantine(written.scalars.front());
  }
  if (option.name == "checkpoint_folder") {
    return parse_checkpoint_folder(written.scalars.front());
  }
  return parsed;
}

bool applies(const Option& option, const std::map<std::string, OptionValue>& values) {
  if (!option.condition) {
    return true;
  }
  const auto choice = values.find(option.condition->option);
  return choice != values.end() && choice->second == OptionValue(option.condition->value);
}

// Reports the options that are written but belong to a choice that was not made. Where the choice
// itself is wrong, there is nothing to tell of them.
void report_misplaced(const std::string& stage,
                      const std::vector<Option>& declared,
                      const WrittenOptions& written,
                      const std::map<std::string, OptionValue>& values,
                      ConfigIssues& issues) {
  for (const auto& [name, value] : written) {
    bool is_misplaced = true;
    std::string needed;
    for (const Option& option : declared) {
      if (option.name != name) {
        continue;
      }
      if (applies(option, values) || !values.contains(option.condition->option)) {
        is_misplaced = false;
        break;
      }
      needed += (needed.empty() ? "" : " or ") + option.condition->option + ": " +
                option.condition->value;
    }
    if (is_misplaced) {
      issues.add(value.place, "option '" + name + "'" + of_stage(stage) + " is only for " + needed);
    }
  }
}

// `stage` is empty for the options of the run.
StageConfig resolve(const std::string& stage,
                    const ConfigPlace& place,
                    const std::vector<Option>& declared,
                    const WrittenOptions& written,
                    ConfigIssues& issues) {
  std::map<std::string, OptionValue> values;
  std::map<std::string, std::string> locations;
  for (const Option& option : declared) {
    if (!applies(option, values)) {
      continue;
    }
    const auto found = written.find(option.name);
    if (found != written.end()) {
      const OptionParse parsed = parse_written(stage, option, found->second);
      if (parsed.value) {
        values.emplace(option.name, *parsed.value);
        locations.emplace(option.name, issues.location(found->second.place));
      } else {
        issues.add(found->second.place,
                   "option '" + option.name + "'" + of_stage(stage) + ": " + parsed.error);
      }
    } else if (option.default_value) {
      values.emplace(option.name, *option.default_value);
    } else {
      issues.add(place, "stage '" + stage + "' needs the option '" + option.name + "'");
    }
  }
  report_misplaced(stage, declared, written, values, issues);
  return {stage, issues.location(place), std::move(values), std::move(locations)};
}

[[noreturn]] void throw_file_error(const std::string& operation, const std::string& path) {
  throw FileError("cannot " + operation + " the configuration '" + path +
                  "': " + error_text(errno));
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw_file_error("open", path);
  }
  std::string content(kMaxReadBytes, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad()) {
    throw_file_error("read", path);
  }
  content.resize(static_cast<std::size_t>(file.gcount()));
  return content;
}

}  // namespace

const std::vector<Option>& run_options() {
  static const std::vector<Option> options = {
      Option::text("threads",
                   "How many threads work at the same time, from 1 to 1024; auto is as many as the "
                   "machine gives to this process. The output does not depend on it.")
          .or_else("auto"),
      Option::bytes(
          "memory_limit",
          "Bound on the bytes of all chunks and batches that are in flight at the same "
          "time. It does not cover what stages hold for themselves, such as a tokenizer's "
          "model.")
          .at_least(kMinMemoryLimit)
          .or_else(std::int64_t{1} << 30),
      Option::choice("on_error",
                     "What happens to a bad record, unless a stage's own on_error says otherwise: "
                     "fail ends the run, skip drops and counts the record, quarantine also writes "
                     "it to the quarantine file.",
                     {"fail", "skip", "quarantine"})
          .or_else("fail"),
      Option::text("max_errors",
                   "How many bad records a run survives: a whole number from 1 on is a count, a "
                   "number below 1 a share of all records (0.01 is one in a hundred; 0 is none at "
                   "all), and none is no bound.")
          .or_else("none"),
      Option::text("quarantine",
                   "Path of the JSON-lines file that on_error: quarantine writes bad records to, "
                   "each with its shard, record, byte offset and reason. A record longer than "
                   "max_document, or cut off by damage, is kept by its beginning.")
          .or_else("quarantine.jsonl"),
      Option::text("run_folder",
                   "Path of a folder that gets the history of the run as it goes on, its summary "
                   "and report.html; it is made where there is none, and what an earlier run left "
                   "in it is replaced, unless this one goes on from its checkpoint. Only 'penstock "
                   "run' writes it. Empty is none.")
          .or_else(""),
      Option::text_list("plugins",
                        "Shared libraries that bring stages. Each is looked for beside the "
                        "configuration (a path with '/' is relative to its folder), and a name "
                        "without '/' that is not there by the system's loader. One that was not "
                        "built for exactly this Penstock's interface is refused.")
          .or_else(std::vector<std::string>{}),
      Option::text("checkpoint_folder",
                   "Folder that gets a checkpoint every checkpoint_every batches, for penstock run "
                   "--resume; made where it is missing. none makes no checkpoints.")
          .or_else("none"),
      Option::integer("checkpoint_every",
                      "How many batches there are from one checkpoint to the next. One that is due "
                      "while the one before is still being written is left out.")
          .in_range(1, 1e12)
          .or_else(std::int64_t{1000}),
      Option::integer("checkpoint_keep", "How many checkpoints are kept: the last ones.")
          .in_range(1, 1e6)
          .or_else(std::int64_t{3}),
  };
  return options;
}

const Option& on_error_option() {
  static const Option option =
      Option::choice("on_error",
                     "What happens to a record that this stage refuses: as the run's on_error says "
                     "(inherit), or fail, skip or quarantine for this stage alone.",
                     {"inherit", "fail", "skip", "quarantine"})
          .or_else("inherit")
          .without_effect_on_stream();
  return option;
}

ConfigText read_config(std::string path) {
  std::string yaml = read_file(path);
  return {std::move(path), std::move(yaml)};
}

void load_plugins(const ConfigText& text,
                  StageRegistry& registry,
                  const std::vector<std::string>& overrides) {
  const std::string& path = text.path;
  ConfigIssues other(path);  // load_config tells of them, when it knows the plug-ins' stages
  WrittenConfig written = read_written_config(text.yaml, registry, other);
  for (const std::string& override : overrides) {
    if (override.starts_with("plugins=")) {
      apply_override(override, registry, written, other);
    }
  }
  const auto plugins = written.run.find("plugins");
  if (plugins == written.run.end()) {
    return;
  }
  ConfigIssues issues(path);
  for (const std::string& file : plugins->second.scalars) {
    try {
      load_plugin(file, std::filesystem::path(path).parent_path().string(), registry);
    } catch (const PluginError& error) {
      issues.add(plugins->second.place, full_message(error));
    }
  }
  issues.throw_if_any();
}

PipelineConfig load_config(const std::string& path,
                           const StageRegistry& registry,
                           const std::vector<std::string>& overrides) {
  return load_config(read_config(path), registry, overrides);
}

PipelineConfig load_config(const ConfigText& text,
                           const StageRegistry& registry,
                           const std::vector<std::string>& overrides) {
  PipelineConfig config = parse_config(text.yaml, text.path, registry, overrides);
  config.path = text.path;
  return config;
}

PipelineConfig parse_config(std::string_view yaml,
                            const std::string& name,
                            const StageRegistry& registry,
                            const std::vector<std::string>& overrides) {
  ConfigIssues issues(name);
  WrittenConfig written = read_written_config(yaml, registry, issues);
  for (const std::string& text : overrides) {
    apply_override(text, registry, written, issues);
  }
  PipelineConfig config;
  config.run = resolve("", ConfigPlace{}, run_options(), written.run, issues);
  for (const WrittenStage& stage : written.stages) {
    if (stage.type != nullptr) {
      config.stages.push_back(
          resolve(stage.name, stage.place, stage.type->options, stage.options, issues));
    }
  }
  check_chain(written.stages, registry, issues);
  issues.throw_if_any();
  return config;
}

std::vector<std::string> stage_labels(const std::vector<StageConfig>& stages) {
  std::unordered_map<std::string, int> times;
  for (const StageConfig& stage : stages) {
    ++times[stage.stage()];
  }
  std::unordered_map<std::string, int> seen;
  std::vector<std::string> labels;
  for (const StageConfig& stage : stages) {
    const std::string& name = stage.stage();
    labels.push_back(times[name] == 1 ? name : name + "[" + std::to_string(seen[name]++) + "]");
  }
  return labels;
}

}  // namespace penstock
