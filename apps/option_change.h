#pragma once

#include <string>

namespace penstock {

// An option that is to have another value.
struct OptionChange {
  std::string stage;  // label; empty for an option of the run
  std::string option;
  std::string value;
};

// As it stands in a configuration: "threads: 4", "read: {lanes: 2}".
std::string config_line(const OptionChange& change);
// As `--set` takes it: "threads=4", "read.lanes=2".
std::string config_override(const OptionChange& change);

}  // namespace penstock
