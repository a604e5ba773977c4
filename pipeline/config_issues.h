#pragma once

#include <string>
#include <utility>
#include <vector>

namespace penstock {

// Where something of a configuration was written.
struct ConfigPlace {
  int line = 1;
  int column = 1;
  std::string override_text;  // "--set KEY=VALUE"; empty for a place in the file
};

// Collects what is wrong with one configuration.
class ConfigIssues {
 public:
  explicit ConfigIssues(std::string file);

  void add(ConfigPlace place, std::string message);
  // "file:line:column", or the override.
  std::string location(const ConfigPlace& place) const;
  // Throws ConfigError if there are any: those of the file in its order, then the overrides'.
  void throw_if_any() const;

 private:
  std::string file_;
  std::vector<std::pair<ConfigPlace, std::string>> issues_;
};

}  // namespace penstock
