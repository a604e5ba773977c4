#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace penstock {

// Counters of one stage. Any thread adds, any thread reads; each counter is exact, the set of them
// is a snapshot only when the run is over.
struct StageMetrics {
  StageMetrics(std::string stage_name, int stage_width)
      : name(std::move(stage_name)), width(stage_width) {}

  const std::string name;
  int width;  // how many threads can be in it at once; set while the pipeline is built

  std::atomic<std::int64_t> chunks{0};  // chunks, or batches for a sink
  std::atomic<std::int64_t> records{0};
  std::atomic<std::int64_t> documents{0};
  std::atomic<std::int64_t> tokens{0};
  std::atomic<std::int64_t> bytes_in{0};
  std::atomic<std::int64_t> bytes_out{0};
  std::atomic<std::int64_t> rejects{0};
  std::atomic<std::int64_t> busy_ns{0};     // inside the stage, summed over threads
  std::atomic<std::int64_t> blocked_ns{0};  // ready to work but held back by a full memory budget
};

// Adds the time from its construction to its destruction to a counter.
class BusyTimer {
 public:
  explicit BusyTimer(std::atomic<std::int64_t>& counter)
      : counter_(counter), start_(std::chrono::steady_clock::now()) {}
  BusyTimer(const BusyTimer&) = delete;
  BusyTimer& operator=(const BusyTimer&) = delete;
  ~BusyTimer() {
    const auto spent = std::chrono::steady_clock::now() - start_;
    counter_.fetch_add(std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count(),
                       std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t>& counter_;
  std::chrono::steady_clock::time_point start_;
};

// The rows of a run, in pipeline order. Rows are added while the pipeline is built, by one thread,
// and keep their address.
class Metrics {
 public:
  StageMetrics& add(std::string name, int width) {
    return rows_.emplace_back(std::move(name), width);
  }
  std::deque<StageMetrics>& rows() { return rows_; }
  const std::deque<StageMetrics>& rows() const { return rows_; }

 private:
  std::deque<StageMetrics> rows_;
};

}  // namespace penstock
