#include "pipeline/errors.h"

#include <exception>
#include <system_error>
#include <utility>

namespace penstock {
namespace {

std::string join(const std::vector<ConfigIssue>& issues) {
  std::string text;
  for (const ConfigIssue& issue : issues) {
    if (!text.empty()) {
      text += '\n';
    }
    if (!issue.location.empty()) {
      text += issue.location + ": ";
    }
    text += issue.message;
  }
  return text;
}

}  // namespace

ConfigError::ConfigError(std::vector<ConfigIssue> issues)
    : std::runtime_error(join(issues)), issues_(std::move(issues)) {}

std::string error_text(int error_number) {
  return std::generic_category().message(error_number);
}

std::string full_message(const std::exception& error) {
  std::string text = error.what();
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& nested) {
    text += ": " + full_message(nested);
  } catch (...) {
    text += ": an exception that is not a std::exception";
  }
  return text;
}

}  // namespace penstock
