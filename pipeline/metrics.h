#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/figures.h"
#include "pipeline/span.h"

namespace penstock {

// Whose threads a clock times.
enum class TimedThread { kOfPipeline, kOfStage };

// Time that threads spend in something, calls that have not returned yet included. Any thread
// enters, leaves and reads.
class BusyClock {
 public:
  // Passes nothing on.
  BusyClock() = default;
  // Passes every call on as a span of this name. `name` and `listeners` outlive the clock.
  BusyClock(const std::string& name, TimedThread thread, const SpanListeners& listeners)
      : name_(&name), thread_(thread), listeners_(&listeners) {}

  // Of all calls, those under way included.
  std::int64_t total_ns() const {
    const std::lock_guard lock(mutex_);
    return finished_ns_ + inside_ * now_ns() - entered_ns_;
  }
  // Counts time that another clock has taken; passes nothing on.
  void add(std::int64_t nanoseconds) {
    const std::lock_guard lock(mutex_);
    finished_ns_ += nanoseconds;
  }
  // Of calls that have not returned yet.
  std::int64_t under_way_ns() const {
    const std::lock_guard lock(mutex_);
    return inside_ * now_ns() - entered_ns_;
  }

 private:
  friend class BusyTimer;

  bool is_heard() const { return listeners_ != nullptr && !listeners_->is_empty(); }
  void pass_on(std::int64_t begin_ns, std::int64_t end_ns) const noexcept;

  const std::string* const name_ = nullptr;
  const TimedThread thread_ = TimedThread::kOfPipeline;
  const SpanListeners* const listeners_ = nullptr;

  mutable std::mutex mutex_;
  // Protected by mutex_.
  std::int64_t finished_ns_ = 0;  // of calls that have returned
  std::int64_t inside_ = 0;       // calls under way
  std::int64_t entered_ns_ = 0;   // sum of the times at which they were entered
};

// Counts the time from its construction to its destruction, and passes it on to those who listen.
class BusyTimer {
 public:
  // The clock outlives the timer.
  explicit BusyTimer(BusyClock& clock) : clock_(clock), entered_ns_(now_ns()) {
    const std::lock_guard lock(clock_.mutex_);
    clock_.entered_ns_ += entered_ns_;
    ++clock_.inside_;
  }
  BusyTimer(const BusyTimer&) = delete;
  BusyTimer& operator=(const BusyTimer&) = delete;
  ~BusyTimer() {
    const std::int64_t left_ns = now_ns();
    {
      const std::lock_guard lock(clock_.mutex_);
      --clock_.inside_;
      clock_.entered_ns_ -= entered_ns_;
      clock_.finished_ns_ += left_ns - entered_ns_;
    }
    if (clock_.is_heard()) {
      clock_.pass_on(entered_ns_, left_ns);
    }
  }

 private:
  BusyClock& clock_;
  const std::int64_t entered_ns_;
};

// Counters of one stage. Any thread adds, any thread reads; each counter is exact, the set of them
// is a snapshot only when the run is over.
struct StageMetrics {
  // Whose clocks pass nothing on.
  StageMetrics(std::string stage_name, int stage_width)
      : name(std::move(stage_name)), width(stage_width) {}
  // Whose clocks pass on what they time.
  StageMetrics(std::string stage_name, int stage_width, const SpanListeners& listeners)
      : name(std::move(stage_name)),
        width(stage_width),
        busy(name, TimedThread::kOfPipeline, listeners),
        own_thread(name, TimedThread::kOfStage, listeners) {}

  const std::string name;  // with [n] where a stage stands more than once
  std::atomic<int> width;  // how many threads can be in it at once
  // Set while the pipeline is built.
  int node = 0;        // of the graph: rows of the same node share its threads
  std::string plugin;  // file name of the plug-in that the stage comes from; empty for others
  std::string note;    // what the stage has to say about how it was built; one line, may be empty

  std::atomic<std::int64_t> chunks{0};     // chunks, or batches for a sink
  std::atomic<std::int64_t> records{0};    // of the chunks that came in
  std::atomic<std::int64_t> documents{0};  // that went out
  std::atomic<std::int64_t> tokens{0};  // that went out; of a sink, in batches that it is done with
  std::atomic<std::int64_t> bytes_in{0};  // content_bytes() of what came in; as stored for a source
  std::atomic<std::int64_t> bytes_out{0};    // content_bytes() of what went out
  std::atomic<std::int64_t> rejects{0};      // records that the stage refused
  std::atomic<std::int64_t> blocked_ns{0};   // ready to read, but memory_limit was used up
  std::atomic<std::int64_t> outstanding{0};  // batches that a sink got and is not finished with
  BusyClock busy;                            // on the pipeline's threads
  BusyClock own_thread;                      // on a thread of the stage's own
};

// "'min_length' (plug-in libmystage.so)": how errors name a stage. `plugin` may be empty.
std::string quoted_name(const std::string& name, const std::string& plugin);
std::string quoted_name(const StageMetrics& row);

// The rows of a run, in pipeline order. Rows are added while the pipeline is built, by one thread,
// and keep their address.
class Metrics {
 public:
  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // A row that keeps its address as long as this.
  StageMetrics& add(std::string name, int width) {
    return rows_.emplace_back(std::move(name), width, listeners_);
  }
  // In the order in which they were added.
  std::deque<StageMetrics>& rows() { return rows_; }
  const std::deque<StageMetrics>& rows() const { return rows_; }

  // Passes on to `listener` what every row is busy with from now on, and what pass_on() is given.
  // Any thread.
  void listen(std::shared_ptr<SpanListener> listener) { listeners_.add(std::move(listener)); }
  // For spans that no clock times, such as a device's. Any thread.
  void pass_on(const Span& span) const noexcept { listeners_.pass_on(span); }

  // Passes on to `listener` the figures that are told from now on. Any thread.
  void listen(std::shared_ptr<FiguresListener> listener) {
    figures_listeners_.add(std::move(listener));
  }
  // While the pipeline is built: a sink will tell figures.
  void announce_figures() { has_figures_ = true; }
  bool has_figures() const { return has_figures_; }
  // For a sink that has figures to tell while the run goes on; see FiguresListener. Any thread.
  void pass_on_figures(std::string_view sink,
                       std::int64_t num_batches,
                       const std::vector<Result>& figures) const noexcept {
    figures_listeners_.pass_on(sink, num_batches, figures);
  }

 private:
  SpanListeners listeners_;  // the rows refer to it
  FiguresListeners figures_listeners_;
  bool has_figures_ = false;
  std::deque<StageMetrics> rows_;
};

}  // namespace penstock
