#include "apps/option_change.h"

namespace penstock {

std::string config_line(const OptionChange& change) {
  const std::string line = change.option + ": " + change.value;
  return change.stage.empty() ? line : change.stage + ": {" + line + '}';
}

std::string config_override(const OptionChange& change) {
  const std::string text = change.option + '=' + change.value;
  return change.stage.empty() ? text : change.stage + '.' + text;
}

}  // namespace penstock
