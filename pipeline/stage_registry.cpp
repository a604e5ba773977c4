#include "pipeline/stage_registry.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "pipeline/config.h"

namespace penstock {
namespace {

// Whether one configuration can have both.
bool can_meet(const Option& a, const Option& b) {
  return !a.condition || !b.condition || a.condition->option != b.condition->option ||
         a.condition->value == b.condition->value;
}

void check_declared_once(const StageType& type) {
  const std::vector<Option>& options = type.options;
  for (auto option = options.begin(); option != options.end(); ++option) {
    const bool is_new = std::none_of(options.begin(), option, [&](const Option& earlier) {
      return earlier.name == option->name && can_meet(earlier, *option);
    });
    if (!is_new) {
      throw std::logic_error("stage '" + type.name + "' declares the option '" + option->name +
                             "' twice");
    }
  }
}

// A condition is about a choice that stands before it and has that value.
void check_conditions(const StageType& type) {
  for (const Option& option : type.options) {
    if (!option.condition) {
      continue;
    }
    const auto& [choice, value] = *option.condition;
    const bool is_possible = std::any_of(
        type.options.data(), &option, [&, &name = choice, &wanted = value](const Option& earlier) {
          return earlier.name == name &&
                 std::count(earlier.choices.begin(), earlier.choices.end(), wanted) > 0;
        });
    if (!is_possible) {
      throw std::logic_error("stage '" + type.name + "' declares the option '" + option.name +
                             "' for " + choice + ": " + value + ", which cannot be");
    }
  }
}

}  // namespace

std::string to_string(Payload payload) {
  switch (payload) {
    case Payload::kNone:
      return "nothing";
    case Payload::kBytes:
      return "bytes";
    case Payload::kDocuments:
      return "documents";
    case Payload::kTokens:
      return "tokens";
    case Payload::kBatch:
      return "batches";
  }
  throw std::logic_error("unknown payload");
}

void StageRegistry::add(StageType type) {
  if (std::holds_alternative<SourceFactory>(type.factory) ||
      std::holds_alternative<StageFactory>(type.factory)) {
    type.options.push_back(on_error_option());
  }
  check_declared_once(type);
  check_conditions(type);
  if (types_.contains(type.name)) {
    throw std::logic_error("stage '" + type.name + "' is registered twice");
  }
  std::string name = type.name;
  types_.emplace(std::move(name), std::move(type));
}

void StageRegistry::replace_factory(const std::string& name, Factory factory) {
  const auto found = types_.find(name);
  if (found == types_.end() || found->second.factory.index() != factory.index()) {
    throw std::logic_error("there is no stage '" + name + "' of this role");
  }
  found->second.factory = std::move(factory);
}

const StageType* StageRegistry::find(const std::string& name) const {
  const auto found = types_.find(name);
  return found == types_.end() ? nullptr : &found->second;
}

std::vector<std::string> StageRegistry::names() const {
  std::vector<std::string> names;
  names.reserve(types_.size());
  for (const auto& [name, type] : types_) {
    names.push_back(name);
  }
  return names;
}

}  // namespace penstock
