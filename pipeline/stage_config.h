#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "pipeline/errors.h"
#include "pipeline/option.h"

namespace penstock {

// The checked options of one stage of a configuration: every declared option has a value of the
// declared type. A plain value; copying is fine. Asking for an option that was not declared, or as
// another type, is a bug of the asking stage and throws std::logic_error.
class StageConfig {
 public:
  StageConfig() = default;
  // `values` holds every declared option, defaults included; `locations` those that were written.
  StageConfig(std::string stage,
              std::string location,
              std::map<std::string, OptionValue> values,
              std::map<std::string, std::string> locations);

  const std::string& stage() const { return stage_; }        // registered name: "tokenize"
  const std::string& location() const { return location_; }  // "file:line:column"

  // The option's value, of the type that was declared.
  bool boolean(const std::string& option) const;
  std::int64_t integer(const std::string& option) const;  // kInteger and kBytes
  double number(const std::string& option) const;
  const std::string& text(const std::string& option) const;
  const std::vector<std::string>& text_list(const std::string& option) const;
  // Whether the option was written (in the file or with --set) rather than left to its default.
  bool is_set(const std::string& option) const;
  const std::map<std::string, OptionValue>& values() const { return values_; }
  // The same with another value, of the declared type; errors about it name no place in the file.
  StageConfig with(const std::string& option, OptionValue value) const;

  // An error about this option, with its place in the file: for what only the stage can check.
  //   throw config.error("model", "cannot open 'x.model': No such file or directory");
  ConfigError error(const std::string& option, const std::string& message) const;

 private:
  const OptionValue& value(const std::string& option) const;

  std::string stage_;
  std::string location_;
  std::map<std::string, OptionValue> values_;
  std::map<std::string, std::string> locations_;
};

}  // namespace penstock
