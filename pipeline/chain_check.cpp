#include "pipeline/chain_check.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

namespace penstock {
namespace {

using Place = ConfigPlace;

std::string in_quotes(const std::string& text) {
  return "'" + text + "'";
}

// "a, b<last_separator>c"
std::string join(const std::vector<std::string>& texts, const std::string& last_separator) {
  std::string joined;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) {
      joined += i + 1 == texts.size() ? last_separator : ", ";
    }
    joined += texts[i];
  }
  return joined;
}

// The roles in the order of the alternatives of StageType::factory.
enum class Role { kSource, kTransform, kAssembler, kBatchStage, kSink };

Role role_of(const StageType& type) {
  return static_cast<Role>(type.factory.index());
}

// What the stage hands to the one behind it. Sinks share the batches.
Payload passed_on_by(const StageType& type) {
  return role_of(type) == Role::kSink ? type.input : type.output;
}

// Does what check_chain() says.
class ChainCheck {
 public:
  ChainCheck(const StageRegistry& registry, ConfigIssues& issues)
      : registry_(registry), issues_(issues) {}

  void check(const std::vector<WrittenStage>& stages) {
    const StageType* before = nullptr;  // null where nothing can be said about it
    for (std::size_t i = 0; i < stages.size(); ++i) {
      const StageType* const type = stages[i].type;
      const std::string problem = type == nullptr ? "" : position_problem(stages, i);
      if (!problem.empty()) {
        issues_.add(stages[i].place, problem);
      } else if (before != nullptr && type != nullptr) {
        check_neighbours(*before, *type, stages[i].place);
      }
      before = problem.empty() || i == 0 ? type : nullptr;
    }
    if (!stages.empty() && stages.back().type != nullptr) {
      check_end(stages.back());
    }
  }

 private:
  // Why the stage cannot stand where it does; empty if it can.
  std::string position_problem(const std::vector<WrittenStage>& stages, std::size_t index) const {
    const WrittenStage& stage = stages[index];
    const Role role = role_of(*stage.type);
    const WrittenStage* const sink = first_before(stages, index, Role::kSink);
    const WrittenStage* const assembler = first_before(stages, index, Role::kAssembler);
    if (index == 0 && role != Role::kSource) {
      return "the pipeline begins with " + in_quotes(stage.name) +
             ", which is not a source; begin with a source" + such_as(Role::kSource);
    }
    if (role == Role::kSource && has_known_before(stages, index)) {
      return in_quotes(stage.name) + " is a source, and a pipeline has one, at its beginning";
    }
    if (role == Role::kAssembler && assembler != nullptr) {
      return in_quotes(stage.name) + " is a second assembler after " + in_quotes(assembler->name) +
             " in line " + std::to_string(assembler->place.line) + ", and a pipeline has one";
    }
    if (role != Role::kSink && sink != nullptr) {
      return in_quotes(stage.name) + " comes after the sink " + in_quotes(sink->name) +
             ", and only sinks can follow a sink";
    }
    return "";
  }

  static bool has_known_before(const std::vector<WrittenStage>& stages, std::size_t index) {
    return std::any_of(stages.begin(),
                       stages.begin() + static_cast<std::ptrdiff_t>(index),
                       [](const WrittenStage& stage) { return stage.type != nullptr; });
  }

  static const WrittenStage* first_before(const std::vector<WrittenStage>& stages,
                                          std::size_t index,
                                          Role role) {
    const auto end = stages.begin() + static_cast<std::ptrdiff_t>(index);
    const auto found = std::find_if(stages.begin(), end, [&](const WrittenStage& stage) {
      return stage.type != nullptr && role_of(*stage.type) == role;
    });
    return found == end ? nullptr : &*found;
  }

  void check_neighbours(const StageType& before, const StageType& stage, const Place& place) {
    const Payload given = passed_on_by(before);
    if (given == stage.input) {
      return;
    }
    const std::vector<std::string> missing = path_between(given, stage.input);
    std::string hint;
    if (missing.size() == 1) {
      hint = "; a stage such as " + missing[0] + " is missing between them";
    } else if (missing.size() > 1) {
      hint = "; stages such as " + join(missing, " and ") + " are missing between them";
    }
    issues_.add(place,
                in_quotes(stage.name) + " takes " + to_string(stage.input) + ", but " +
                    in_quotes(before.name) + " before it gives " + to_string(given) + hint);
  }

  void check_end(const WrittenStage& last) {
    if (role_of(*last.type) == Role::kSink) {
      return;
    }
    const std::vector<std::string> missing = path_between(last.type->output, Payload::kBatch);
    issues_.add(last.place,
                "the pipeline ends with " + in_quotes(last.name) + ", which gives " +
                    to_string(last.type->output) + "; add " + join(missing, ", ") +
                    (missing.empty() ? "" : " and ") + "a sink" + such_as(Role::kSink));
  }

  // The shortest chain of known stages that turns one payload into another, each as
  // "'parse' (bytes -> documents)"; empty where there is none.
  std::vector<std::string> path_between(Payload from, Payload to) const {
    std::map<Payload, std::vector<std::string>> paths = {{from, {}}};
    std::vector<Payload> reached = {from};
    for (std::size_t i = 0; i < reached.size(); ++i) {
      for (const auto& [name, type] : registry_.types()) {
        const bool fits = type.input == reached[i] && type.input != Payload::kNone &&
                          type.output != Payload::kNone;
        if (fits && !paths.contains(type.output)) {
          std::vector<std::string> path = paths[reached[i]];
          path.push_back(in_quotes(name) + " (" + to_string(type.input) + " -> " +
                         to_string(type.output) + ")");
          paths.emplace(type.output, std::move(path));
          reached.push_back(type.output);
        }
      }
    }
    return paths[to];
  }

  // " such as 'a' or 'b'"
  std::string such_as(Role role) const {
    std::vector<std::string> names;
    for (const auto& [name, type] : registry_.types()) {
      if (role_of(type) == role) {
        names.push_back(in_quotes(name));
      }
    }
    return names.empty() ? "" : " such as " + join(names, " or ");
  }

  const StageRegistry& registry_;
  ConfigIssues& issues_;
};

}  // namespace

void check_chain(const std::vector<WrittenStage>& stages,
                 const StageRegistry& registry,
                 ConfigIssues& issues) {
  ChainCheck(registry, issues).check(stages);
}

}  // namespace penstock
