#include "pipeline/stage_registry.h"

#include <set>
#include <stdexcept>
#include <utility>

#include "pipeline/config.h"

namespace penstock {
namespace {

void check_declared_once(const StageType& type) {
  std::set<std::string> seen;
  for (const Option& option : type.options) {
    if (!seen.insert(option.name).second) {
      throw std::logic_error("stage '" + type.name + "' declares the option '" + option.name +
                             "' twice");
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
  if (types_.contains(type.name)) {
    throw std::logic_error("stage '" + type.name + "' is registered twice");
  }
  std::string name = type.name;
  types_.emplace(std::move(name), std::move(type));
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
