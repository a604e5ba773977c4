#pragma once

#include <string>
#include <vector>

namespace penstock {

// An option or a positional argument of a command.
struct ArgumentDescription {
  std::string name;                  // "--set"; "CONFIG" for a positional one
  std::string value;                 // what stands behind an option: "KEY=VALUE"; empty for a flag
  std::string summary;               // one or two sentences
  std::vector<std::string> choices;  // the values that there are; empty where any is possible
  bool takes_file = false;
  bool is_positional = false;
  bool is_required = false;
};

// The command line as plain values, for those who write about it.
struct CommandDescription {
  std::string name;
  std::string summary;
  std::string footer;  // exit status and examples; may be empty
  std::vector<ArgumentDescription> arguments;
  std::vector<CommandDescription> commands;
};

}  // namespace penstock
