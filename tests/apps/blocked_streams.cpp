#include "tests/apps/blocked_streams.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

namespace penstock {
namespace {

void check(bool succeeded, const char* what) {
  if (!succeeded) {
    throw std::system_error(errno, std::generic_category(), what);
  }
}

}  // namespace

UnreadPipe::UnreadPipe(const std::string& path) {
  check(::mkfifo(path.c_str(), 0600) == 0, "mkfifo");
  descriptor_ = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  check(descriptor_ >= 0, "open the named pipe");
}

void UnreadPipe::wait_for_output() {
  pollfd readable = {descriptor_, POLLIN, 0};
  check(::poll(&readable, 1, -1) == 1, "poll the named pipe");
}

void UnreadPipe::fill() {
  const std::array<char, 4096> bytes{};
  while (::write(descriptor_, bytes.data(), bytes.size()) > 0) {
  }
  check(errno == EAGAIN, "fill the named pipe");
}

UnreadPipe::~UnreadPipe() {
  ::close(descriptor_);
}

Terminal::Terminal() {
  here_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  check(here_ >= 0 && ::grantpt(here_) == 0 && ::unlockpt(here_) == 0, "open a terminal");
  path_ = ::ptsname(here_);
  there_ = ::open(path_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  check(there_ >= 0, "open the other side of a terminal");
}

Terminal::~Terminal() {
  ::close(there_);
  ::close(here_);
}

void Terminal::wait_for_output() {
  char byte = 0;
  check(::read(here_, &byte, 1) == 1, "read from a terminal");
}

void Terminal::stop_output() {
  check(::tcflow(there_, TCOOFF) == 0, "stop a terminal");
}

FolderWatch::FolderWatch(const std::string& folder) : descriptor_(::inotify_init1(IN_CLOEXEC)) {
  check(descriptor_ >= 0, "inotify_init1");
  check(::inotify_add_watch(descriptor_, folder.c_str(), IN_MOVED_TO) >= 0, "inotify_add_watch");
}

FolderWatch::~FolderWatch() {
  ::close(descriptor_);
}

void FolderWatch::wait_for(const std::string& name) {
  while (true) {
    alignas(inotify_event) std::array<char, 4096> buffer{};
    const ssize_t bytes = ::read(descriptor_, buffer.data(), buffer.size());
    check(bytes > 0, "read from inotify");
    for (std::size_t at = 0; at < static_cast<std::size_t>(bytes);) {
      const auto* event = reinterpret_cast<const inotify_event*>(&buffer[at]);
      if (name == event->name) {
        return;
      }
      at += sizeof(inotify_event) + event->len;
    }
  }
}

}  // namespace penstock
