#include "apps/stop_signal.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace penstock {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

int checked(int descriptor, const char* what) {
  if (descriptor < 0) {
    throw std::system_error(errno, std::generic_category(), what);
  }
  return descriptor;
}

}  // namespace

StopSignal::StopSignal(Overdue overdue, std::chrono::milliseconds grace)
    : grace_(grace), overdue_(std::move(overdue)) {
  const sigset_t signals = stop_signals();
  signal_descriptor_ = checked(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
  end_descriptor_ = checked(::eventfd(0, EFD_CLOEXEC), "eventfd");
  pthread_sigmask(SIG_BLOCK, &signals, &former_mask_);
  thread_ = std::thread([this] { wait_for_signals(); });
}

StopSignal::~StopSignal() {
  end();
  signalfd_siginfo late{};
  while (::read(signal_descriptor_, &late, sizeof late) > 0) {
  }
  pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
  ::close(signal_descriptor_);
  ::close(end_descriptor_);
}

void StopSignal::end() {
  if (thread_.joinable()) {
    ::eventfd_write(end_descriptor_, 1);
    thread_.join();
  }
}

void StopSignal::release() {
  end();
  pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

void StopSignal::wait_for_signals() {
  const int first = next_signal(-1);
  if (first == 0) {
    return;
  }
  received_ = first;
  // Whoever is told to stop may take its time; the clock runs meanwhile.
  std::thread stopping([this] { source_.request_stop(); });
  next_signal(static_cast<int>(grace_.count()));
  if (!ended_by_caller_) {
    overdue_(first);
  }
  stopping.join();
}

int StopSignal::next_signal(int timeout_ms) {
  std::array<pollfd, 2> descriptors = {pollfd{end_descriptor_, POLLIN, 0},
                                       pollfd{signal_descriptor_, POLLIN, 0}};
  int ready = 0;
  do {
    ready = ::poll(descriptors.data(), descriptors.size(), timeout_ms);
  } while (ready < 0 && errno == EINTR);
  if (descriptors[0].revents != 0) {
    ended_by_caller_ = true;
    return 0;
  }
  signalfd_siginfo signal{};
  if (ready > 0 && ::read(signal_descriptor_, &signal, sizeof signal) == sizeof signal) {
    return static_cast<int>(signal.ssi_signo);
  }
  return 0;
}

}  // namespace penstock
