#include "pipeline/config_issues.h"

#include <algorithm>
#include <tuple>

#include "pipeline/errors.h"

namespace penstock {

ConfigIssues::ConfigIssues(std::string file) : file_(std::move(file)) {}

void ConfigIssues::add(ConfigPlace place, std::string message) {
  issues_.emplace_back(std::move(place), std::move(message));
}

std::string ConfigIssues::location(const ConfigPlace& place) const {
  return place.override_text.empty()
             ? file_ + ":" + std::to_string(place.line) + ":" + std::to_string(place.column)
             : place.override_text;
}

void ConfigIssues::throw_if_any() const {
  if (issues_.empty()) {
    return;
  }
  const auto rank = [](const auto& issue) {
    const ConfigPlace& place = issue.first;
    return std::tuple(!place.override_text.empty(), place.line, place.column);
  };
  auto ordered = issues_;
  std::stable_sort(ordered.begin(), ordered.end(), [&](const auto& a, const auto& b) {
    return rank(a) < rank(b);
  });
  std::vector<ConfigIssue> located;
  located.reserve(ordered.size());
  for (const auto& [place, message] : ordered) {
    located.push_back({location(place), message});
  }
  throw ConfigError(std::move(located));
}

}  // namespace penstock
