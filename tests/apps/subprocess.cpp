#include "tests/apps/subprocess.h"

#include <array>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace penstock {
namespace {

void check(bool succeeded, const char* what) {
  if (!succeeded) {
    throw std::runtime_error(std::string("cannot ") + what);
  }
}

}  // namespace

Subprocess::Subprocess(const std::vector<std::string>& command, const std::string& folder)
    : output_path_(folder + "/stdout"), errors_path_(folder + "/stderr") {
  std::array<int, 2> pipe{};
  check(::pipe2(pipe.data(), O_CLOEXEC) == 0, "make a pipe");
  input_ = pipe[1];

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, pipe[0], STDIN_FILENO);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output_path_.c_str(), kFlags, 0600);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, errors_path_.c_str(), kFlags, 0600);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const int error = ::posix_spawn(
      &process_, command.front().c_str(), &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  ::close(pipe[0]);
  check(error == 0, "start the process");
}

Subprocess::~Subprocess() {
  close_input();
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
}

void Subprocess::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(input_, text.data(), text.size());
    check(written > 0, "write to the process");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Subprocess::send(int signal) {
  check(::kill(process_, signal) == 0, "send a signal");
}

Finished Subprocess::wait(bool keep_input_open) {
  if (!keep_input_open) {
    close_input();
  }
  int status = 0;
  check(::waitpid(process_, &status, 0) == process_, "wait for the process");
  process_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
          read_file(output_path_),
          read_file(errors_path_)};
}

void Subprocess::close_input() {
  if (input_ >= 0) {
    ::close(input_);
    input_ = -1;
  }
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace penstock
