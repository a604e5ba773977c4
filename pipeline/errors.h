#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace penstock {

// One thing wrong with a configuration: where, what was got, what was expected.
struct ConfigIssue {
  std::string location;  // "file:line:column", or "--set KEY=VALUE", or empty
  std::string message;   // one sentence without a final stop
};

// Everything that is wrong with a configuration, found before any work. what() has a line an issue.
class ConfigError : public std::runtime_error {
 public:
  // At least one.
  explicit ConfigError(std::vector<ConfigIssue> issues);
  const std::vector<ConfigIssue>& issues() const noexcept { return issues_; }

 private:
  std::vector<ConfigIssue> issues_;
};

// A record or shard that the error policy does not let pass. what() names stage, shard, record,
// byte offset, reason and the record's first bytes.
class RecordError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A stage that cannot go on. Thrown with the cause nested inside.
class StageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The operating system refused a file operation; what() has path, operation and errno's text.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What the operating system says about a value of errno.
std::string error_text(int error_number);

// "outer: cause: cause of the cause", from std::throw_with_nested.
std::string full_message(const std::exception& error);

// `error` with the cause nested inside, as std::throw_with_nested would throw it.
template <typename Error>
std::exception_ptr with_cause(const Error& error, const std::exception_ptr& cause) {
  try {
    try {
      std::rethrow_exception(cause);
    } catch (...) {
      std::throw_with_nested(error);
    }
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace penstock
