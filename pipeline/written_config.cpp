#include "pipeline/written_config.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "pipeline/config.h"
#include "pipeline/option.h"

namespace penstock {
namespace {

using Place = ConfigPlace;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr const char* kPipelineKey = "pipeline";

std::string in_quotes(const std::string& text) {
  return "'" + text + "'";
}

std::string join(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) {
    joined += (joined.empty() ? "" : ", ") + text;
  }
  return joined;
}

std::string of_stage(const std::string& stage) {
  return stage.empty() ? "" : " of stage " + in_quotes(stage);
}

// What to write instead of an unknown name: the nearest known one, or else one of them all.
std::string suggestion(const std::string& name,
                       const std::vector<std::string>& known,
                       const std::string& introduction) {
  if (const std::optional<std::string> near = nearest(name, known)) {
    return "; did you mean " + in_quotes(*near) + "?";
  }
  return "; " + introduction + " " + (known.empty() ? "none" : join(known));
}

const Option* find_option(const std::vector<Option>& options, const std::string& name) {
  const auto found = std::find_if(
      options.begin(), options.end(), [&](const Option& option) { return option.name == name; });
  return found == options.end() ? nullptr : &*found;
}

std::string unknown_option(const std::string& name,
                           const std::string& stage,
                           const std::vector<Option>& declared) {
  std::vector<std::string> known;
  known.reserve(declared.size());
  for (const Option& option : declared) {
    known.push_back(option.name);
  }
  return "unknown option " + in_quotes(name) + of_stage(stage) +
         suggestion(name, known, stage.empty() ? "the options of a run are" : "its options are");
}

std::string unknown_run_option(const std::string& name, const StageRegistry& registry) {
  if (registry.find(name) != nullptr) {
    return in_quotes(name) + " is a stage and belongs in the list 'pipeline'";
  }
  return nearest(name, {kPipelineKey}) ? "unknown option '" + name + "'; did you mean 'pipeline'?"
                                       : unknown_option(name, "", run_options());
}

Place place_of(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1, ""};
}

// yaml-cpp marks an empty value where the next token is, so such a value takes its key's place.
Place place_of(const YAML::Node& value, const Place& key_place) {
  return value.IsNull() ? key_place : place_of(value.Mark());
}

std::string kind_of(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return in_quotes(node.Scalar());
    default:
      return "an empty value";
  }
}

std::string explain(const YAML::Exception& error) {
  if (error.msg == YAML::ErrorMsg::BAD_FILE) {  // what yaml-cpp says of too deep nesting
    return "not valid YAML: nested too deeply";
  }
  if (error.msg.starts_with(YAML::ErrorMsg::UNKNOWN_ANCHOR)) {
    return "not valid YAML: '*' begins an alias, and no anchor has this name; put text that begins "
           "with '*' in quotes";
  }
  return "not valid YAML: " + error.msg;
}

WrittenValue read_value(const YAML::Node& node, const Place& key_place) {
  WrittenValue value;
  value.place = place_of(node, key_place);
  value.is_sequence = node.IsSequence();
  if (node.IsScalar()) {
    value.scalars.push_back(node.Scalar());
  } else if (node.IsMap()) {
    value.problem = "got a mapping, which no option takes";
  } else if (node.IsSequence()) {
    for (const YAML::Node& element : node) {
      if (!element.IsScalar()) {
        value.place = place_of(element, value.place);
        value.problem = "got a list that holds " + kind_of(element) + ", which no option takes";
        break;
      }
      value.scalars.push_back(element.Scalar());
    }
  }
  return value;
}

// Reads the file's YAML.
class FileReader {
 public:
  FileReader(const StageRegistry& registry, ConfigIssues& issues)
      : registry_(registry), issues_(issues) {}

  WrittenConfig read(std::string_view yaml) {
    WrittenConfig config;
    if (is_text(yaml)) {
      if (const std::optional<YAML::Node> root = read_document(yaml)) {
        read_root(*root, config);
      }
    }
    return config;
  }

 private:
  // yaml-cpp takes some control characters for the end of the file.
  bool is_text(std::string_view yaml) {
    if (yaml.size() > kMaxFileBytes) {
      issues_.add({}, "longer than " + format_bytes(kMaxFileBytes) + ", so not a configuration");
      return false;
    }
    Place place;
    for (const char c : yaml) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') {
        issues_.add(place, "a control character, so not a YAML file in UTF-8");
        return false;
      }
      place = c == '\n' ? Place{place.line + 1, 1, ""} : Place{place.line, place.column + 1, ""};
    }
    return true;
  }

  std::optional<YAML::Node> read_document(std::string_view yaml) {
    std::vector<YAML::Node> documents;
    try {
      documents = YAML::LoadAll(std::string(yaml));
    } catch (const YAML::Exception& error) {
      issues_.add(place_of(error.mark), explain(error));
      return std::nullopt;
    }
    if (documents.empty() || documents[0].IsNull()) {
      issues_.add({}, "the configuration is empty; it needs at least the list 'pipeline'");
      return std::nullopt;
    }
    if (documents.size() > 1) {
      issues_.add(place_of(documents[1].Mark()),
                  "a second YAML document begins here; a configuration is one document");
      return std::nullopt;
    }
    return documents[0];
  }

  void read_root(const YAML::Node& root, WrittenConfig& config) {
    if (!root.IsMap()) {
      issues_.add(place_of(root.Mark()),
                  "got " + kind_of(root) +
                      ", expected a mapping with the list 'pipeline' and the options of the run");
      return;
    }
    bool has_key = false;  // or one that was likely meant to be it
    for_each_key(root, "", [&](const std::string& key, const Place& place, const YAML::Node& node) {
      if (key == kPipelineKey) {
        has_key = true;
        read_pipeline(node, place, config);
      } else if (find_option(run_options(), key) != nullptr) {
        config.run.emplace(key, read_value(node, place));
      } else {
        has_key = has_key || nearest(key, {kPipelineKey});
        issues_.add(place, unknown_run_option(key, registry_));
      }
    });
    if (!has_key) {
      issues_.add(place_of(root.Mark()), "the list 'pipeline' is missing");
    }
  }

  // Calls `entry(key, its place, value)` for every key that is a name, and reports the others.
  template <typename Entry>
  void for_each_key(const YAML::Node& mapping, const std::string& stage, Entry entry) {
    std::map<std::string, Place> seen;
    for (const auto& pair : mapping) {
      const Place place = place_of(pair.first.Mark());
      if (!pair.first.IsScalar()) {
        issues_.add(place, "got " + kind_of(pair.first) + " as a key, expected a name");
        continue;
      }
      const std::string& key = pair.first.Scalar();
      const auto [first, is_new] = seen.emplace(key, place);
      if (!is_new) {
        issues_.add(place,
                    in_quotes(key) + of_stage(stage) + " is given twice, first in line " +
                        std::to_string(first->second.line));
        continue;
      }
      entry(key, place, pair.second);
    }
  }

  void read_pipeline(const YAML::Node& list, const Place& key_place, WrittenConfig& config) {
    const Place place = place_of(list, key_place);
    if (!list.IsSequence() && !list.IsNull()) {
      issues_.add(place,
                  "'pipeline': got " + kind_of(list) +
                      ", expected a list of stages, each with '- ' before it");
      return;
    }
    config.has_list = true;
    for (const YAML::Node& element : list) {
      config.stages.push_back(read_stage(element, place));
    }
    if (config.stages.empty()) {
      issues_.add(place, "the list 'pipeline' has no stage; it begins with a source");
    }
  }

  WrittenStage read_stage(const YAML::Node& element, const Place& list_place) {
    if (element.IsScalar()) {
      return named_stage(element);
    }
    if (element.IsMap() && element.size() > 0) {
      return read_stage_mapping(element);
    }
    WrittenStage stage;
    stage.place = place_of(element, list_place);
    issues_.add(stage.place,
                "'pipeline': got " +
                    std::string(element.IsMap() ? "an empty mapping" : kind_of(element)) +
                    " as an element, expected a stage");
    return stage;
  }

  WrittenStage named_stage(const YAML::Node& name) {
    WrittenStage stage;
    stage.name = name.Scalar();
    stage.place = place_of(name.Mark());
    stage.type = registry_.find(stage.name);
    if (stage.type == nullptr) {
      issues_.add(stage.place,
                  "unknown stage " + in_quotes(stage.name) +
                      suggestion(stage.name, registry_.names(), "the known stages are"));
    }
    return stage;
  }

  // An element is a mapping of one key, the stage's name, to the mapping of its options.
  WrittenStage read_stage_mapping(const YAML::Node& element) {
    const auto first = element.begin();
    if (!first->first.IsScalar() || element.size() > 1) {
      const auto wrong = element.size() > 1 ? std::next(first) : first;
      WrittenStage stage;
      stage.place = place_of(wrong->first.Mark());
      issues_.add(
          stage.place,
          "got " + kind_of(wrong->first) +
              (element.size() > 1 ? " as a further key of one stage" : " as a stage's name") +
              "; put '- ' before each stage and indent its options deeper than its name");
      return stage;
    }
    WrittenStage stage = named_stage(first->first);
    const YAML::Node options = first->second;
    if (options.IsMap()) {
      read_options(options, stage);
    } else if (!options.IsNull()) {
      issues_.add(place_of(options.Mark()),
                  "stage " + in_quotes(stage.name) + ": got " + kind_of(options) +
                      ", expected a mapping of options");
      stage.type = nullptr;
    }
    return stage;
  }

  void read_options(const YAML::Node& options, WrittenStage& stage) {
    for_each_key(options,
                 stage.name,
                 [&](const std::string& key, const Place& place, const YAML::Node& node) {
                   if (stage.type != nullptr && find_option(stage.type->options, key) == nullptr) {
                     issues_.add(place, unknown_option(key, stage.name, stage.type->options));
                   } else {
                     stage.options.emplace(key, read_value(node, place));
                   }
                 });
  }

  const StageRegistry& registry_;
  ConfigIssues& issues_;
};

// ---- Overrides ---------------------------------------------------------------------------------

// A stage as an override names it: "pack" or "pack[1]".
struct StageKey {
  std::string name;
  std::optional<std::size_t> index;
};

std::optional<StageKey> parse_stage_key(const std::string& text) {
  const std::size_t bracket = text.find('[');
  if (bracket == std::string::npos) {
    return StageKey{text, std::nullopt};
  }
  const char* const end = text.data() + text.size();
  std::size_t index = 0;
  const auto [rest, error] = std::from_chars(text.data() + bracket + 1, end, index);
  if (error != std::errc() || std::string_view(rest, static_cast<std::size_t>(end - rest)) != "]") {
    return std::nullopt;
  }
  return StageKey{text.substr(0, bracket), index};
}

// Puts "KEY=VALUE" in the place of what the file says.
class OverrideReader {
 public:
  OverrideReader(const StageRegistry& registry, WrittenConfig& config, ConfigIssues& issues)
      : registry_(registry), config_(config), issues_(issues) {}

  void apply(const std::string& text) {
    const Place place{1, 1, "--set " + text};
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      issues_.add(place, "expected KEY=VALUE");
      return;
    }
    const std::string key = text.substr(0, equals);
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos) {
      set_run_option(key, text.substr(equals + 1), place);
    } else {
      set_stage_option(key.substr(0, dot), key.substr(dot + 1), text.substr(equals + 1), place);
    }
  }

 private:
  void set_run_option(const std::string& option, const std::string& value, const Place& place) {
    if (option == kPipelineKey || registry_.find(option) != nullptr) {
      issues_.add(place, "expected the option of a stage to be given as STAGE.OPTION=VALUE");
    } else if (find_option(run_options(), option) == nullptr) {
      issues_.add(place, unknown_option(option, "", run_options()));
    } else {
      set(config_.run, option, value, place);
    }
  }

  void set_stage_option(const std::string& stage_text,
                        const std::string& option,
                        const std::string& value,
                        const Place& place) {
    WrittenStage* const stage = find_stage(stage_text, place);
    if (stage == nullptr || stage->type == nullptr) {
      return;
    }
    if (find_option(stage->type->options, option) == nullptr) {
      issues_.add(place, unknown_option(option, stage->name, stage->type->options));
    } else {
      set(stage->options, option, value, place);
    }
  }

  // Plain text is taken as it is, so that '*' needs no quotes; quoted text and lists are YAML.
  void set(WrittenOptions& options,
           const std::string& option,
           const std::string& text,
           const Place& place) {
    WrittenValue value{place, {text}, false, ""};
    if (!text.empty() && std::string_view("[\"'").find(text[0]) != std::string_view::npos) {
      try {
        value = read_yaml(text, place);
      } catch (const YAML::Exception& error) {
        value.problem = "a value that begins with " + text.substr(0, 1) + " is YAML, and this is " +
                        explain(error) + "; to take it as it is, put quotes around it";
      }
    }
    options.insert_or_assign(option, std::move(value));
  }

  static WrittenValue read_yaml(const std::string& text, const Place& place) {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() != 1) {
      throw YAML::ParserException(documents[1].Mark(), "more than one value");
    }
    WrittenValue value = read_value(documents[0], place);
    value.place = place;
    return value;
  }

  // Null, and an issue unless there is one already, where the stage is not to be found.
  WrittenStage* find_stage(const std::string& text, const Place& place) {
    const std::optional<StageKey> key = parse_stage_key(text);
    if (!key) {
      issues_.add(place, "in '" + text + "', expected a number from 0 in the brackets");
      return nullptr;
    }
    const std::vector<WrittenStage*> matches = stages_named(key->name);
    if (matches.empty()) {
      report_no_stage(key->name, place);
      return nullptr;
    }
    if (!key->index && matches.size() > 1) {
      issues_.add(place,
                  "the pipeline has " + std::to_string(matches.size()) + " stages '" + key->name +
                      "'; say which with '" + key->name + "[0]' to '" + key->name + "[" +
                      std::to_string(matches.size() - 1) + "]'");
      return nullptr;
    }
    if (key->index.value_or(0) >= matches.size()) {
      issues_.add(place,
                  "the pipeline has " + std::to_string(matches.size()) + " of stage '" + key->name +
                      "', and the number in the brackets counts from 0");
      return nullptr;
    }
    return matches[key->index.value_or(0)];
  }

  std::vector<WrittenStage*> stages_named(const std::string& name) {
    std::vector<WrittenStage*> matches;
    for (WrittenStage& stage : config_.stages) {
      if (stage.name == name) {
        matches.push_back(&stage);
      }
    }
    return matches;
  }

  void report_no_stage(const std::string& name, const Place& place) {
    std::vector<std::string> present;
    bool complete = config_.has_list;
    for (const WrittenStage& stage : config_.stages) {
      complete = complete && !stage.name.empty();
      if (std::find(present.begin(), present.end(), stage.name) == present.end()) {
        present.push_back(stage.name);
      }
    }
    if (complete) {  // otherwise the stage may be in what could not be read
      issues_.add(place,
                  "the pipeline has no stage " + in_quotes(name) +
                      suggestion(name, present, "its stages are"));
    }
  }

  const StageRegistry& registry_;
  WrittenConfig& config_;
  ConfigIssues& issues_;
};

}  // namespace

WrittenConfig read_written_config(std::string_view yaml,
                                  const StageRegistry& registry,
                                  ConfigIssues& issues) {
  return FileReader(registry, issues).read(yaml);
}

void apply_override(const std::string& text,
                    const StageRegistry& registry,
                    WrittenConfig& config,
                    ConfigIssues& issues) {
  OverrideReader(registry, config, issues).apply(text);
}

}  // namespace penstock
