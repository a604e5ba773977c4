#include "pipeline/stage_config.h"

#include <stdexcept>
#include <utility>

namespace penstock {
namespace {

template <typename T>
const T& typed(const OptionValue& value, const std::string& stage, const std::string& option) {
  const T* const held = std::get_if<T>(&value);
  if (held == nullptr) {
    throw std::logic_error("stage '" + stage + "' reads its option '" + option +
                           "' as another type than it declares");
  }
  return *held;
}

}  // namespace

StageConfig::StageConfig(std::string stage,
                         std::string location,
                         std::map<std::string, OptionValue> values,
                         std::map<std::string, std::string> locations)
    : stage_(std::move(stage)),
      location_(std::move(location)),
      values_(std::move(values)),
      locations_(std::move(locations)) {}

bool StageConfig::boolean(const std::string& option) const {
  return typed<bool>(value(option), stage_, option);
}

std::int64_t StageConfig::integer(const std::string& option) const {
  return typed<std::int64_t>(value(option), stage_, option);
}

double StageConfig::number(const std::string& option) const {
  return typed<double>(value(option), stage_, option);
}

const std::string& StageConfig::text(const std::string& option) const {
  return typed<std::string>(value(option), stage_, option);
}

const std::vector<std::string>& StageConfig::text_list(const std::string& option) const {
  return typed<std::vector<std::string>>(value(option), stage_, option);
}

bool StageConfig::is_set(const std::string& option) const {
  value(option);
  return locations_.contains(option);
}

StageConfig StageConfig::with(const std::string& option, OptionValue value) const {
  StageConfig other = *this;
  other.values_.at(option) = std::move(value);
  if (const auto written = other.locations_.find(option); written != other.locations_.end()) {
    written->second.clear();
  }
  return other;
}

ConfigError StageConfig::error(const std::string& option, const std::string& message) const {
  value(option);
  const auto written = locations_.find(option);
  const std::string owner = stage_.empty() ? "" : " of stage '" + stage_ + "'";
  return ConfigError({{written == locations_.end() ? location_ : written->second,
                       "option '" + option + "'" + owner + ": " + message}});
}

const OptionValue& StageConfig::value(const std::string& option) const {
  const auto found = values_.find(option);
  if (found == values_.end()) {
    throw std::logic_error("stage '" + stage_ + "' reads the option '" + option +
                           "', which it does not declare");
  }
  return found->second;
}

}  // namespace penstock
