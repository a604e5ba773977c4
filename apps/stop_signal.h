#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <stop_token>
#include <thread>

namespace penstock {

// Turns SIGINT and SIGTERM into a stop request. The signals are blocked in the constructing thread
// and in every thread that it starts afterwards, so construct it before the others; a thread of its
// own waits for them. One at a time in a process.
class StopSignal {
 public:
  static constexpr std::chrono::milliseconds kDefaultGrace{1500};

  // `overdue` is called by the waiting thread, with the first signal, when end() has not been
  // called `grace` after that signal, or at once when a second one comes. It usually ends the
  // process.
  using Overdue = std::function<void(int signal)>;
  explicit StopSignal(Overdue overdue, std::chrono::milliseconds grace = kDefaultGrace);
  // end(), and back to the former signal mask; drops signals that came too late to matter.
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // The source that signals stop; others may stop it as well.
  std::stop_source source() const { return source_; }
  // The first signal that came, or 0.
  int received() const { return received_; }

  // The work has ended: `overdue` will not be called any more, and is not running. Signals stay
  // blocked.
  void end();
  // end(), and back to the former signal mask, in the calling thread: signals that were not taken
  // yet, and those to come, do what they did before.
  void release();

 private:
  void wait_for_signals();
  // Waits for the next signal until `timeout` (-1: for ever) has passed or end() is called.
  // Returns it, or 0.
  int next_signal(int timeout_ms);

  const std::chrono::milliseconds grace_;
  const Overdue overdue_;
  std::stop_source source_;
  std::atomic<int> received_{0};
  sigset_t former_mask_{};
  int signal_descriptor_ = -1;
  int end_descriptor_ = -1;
  bool ended_by_caller_ = false;  // of the waiting thread
  std::thread thread_;
};

}  // namespace penstock
