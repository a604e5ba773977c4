#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace penstock {

// What a process left behind.
struct Finished {
  int status = -1;  // exit status; minus the signal where one killed it
  std::string output;
  std::string errors;
};

// A child process whose standard input is a pipe from here. Its standard output and standard error
// are kept in files under `folder`, so that it never waits for a reader.
class Subprocess {
 public:
  Subprocess(const std::vector<std::string>& command, const std::string& folder);
  // Kills the child if nobody waited for it.
  ~Subprocess();
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  // Returns when all of `text` is in the pipe: of more than the pipe holds, the child has read the
  // rest.
  void write(std::string_view text);
  void send(int signal);
  // Closes standard input unless it was asked to stay open, and waits.
  Finished wait(bool keep_input_open = false);

 private:
  void close_input();

  const std::string output_path_;
  const std::string errors_path_;
  pid_t process_ = -1;
  int input_ = -1;
};

// The whole file; empty where there is none.
std::string read_file(const std::string& path);

}  // namespace penstock
