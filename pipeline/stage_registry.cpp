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

bool is_stage_name(const std::string& name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

Payload payload_of(const Chunk& chunk) {
  return std::visit(
      [](const auto& held) { return payload_of<std::remove_cvref_t<decltype(held)>>(); }, chunk);
}

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
  type.plugin = plugin_;
  check(type);
  if (const StageType* first = find(type.name)) {
    throw std::logic_error("stage '" + type.name + "' is registered twice" +
                           (first->plugin.empty() ? "" : ", first by plug-in " + first->plugin));
  }
  std::string name = type.name;
  types_.emplace(std::move(name), std::move(type));
}

void StageRegistry::replace(StageType type) {
  check(type);
  const auto found = types_.find(type.name);
  if (found == types_.end()) {
    throw std::logic_error("there is no stage '" + type.name + "'");
  }
  found->second = std::move(type);
}

void StageRegistry::add_plugin(const std::string& plugin,
                               const std::function<void(StageRegistry&)>& register_stages) {
  StageRegistry with_plugin = *this;
  with_plugin.plugin_ = plugin;
  register_stages(with_plugin);
  with_plugin.plugin_ = plugin_;
  *this = std::move(with_plugin);
}

void StageRegistry::check(const StageType& type) {
  if (!is_stage_name(type.name)) {
    throw std::logic_error("a stage is called '" + type.name +
                           "', and a name begins with a lower-case letter and goes on with more, "
                           "digits and '_'");
  }
  check_declared_once(type);
  check_conditions(type);
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
