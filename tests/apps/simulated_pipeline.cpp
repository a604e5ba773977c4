#include "tests/apps/simulated_pipeline.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <stdexcept>
#include <utility>
#include <vector>

#include "pipeline/option.h"

namespace penstock {
namespace {

constexpr std::int64_t kChunkBytes = std::int64_t{1} << 20;  // of memory_limit

// Goes from event to event.
class Simulation {
 public:
  explicit Simulation(const SimulatedPipeline& pipeline)
      : pipeline_(pipeline),
        slowness_(std::max(1.0, static_cast<double>(pipeline.threads) / pipeline.processors) /
                  pipeline.processor_share),
        free_threads_(pipeline.threads),
        lanes_(static_cast<std::size_t>(pipeline.lanes)) {
    for (Lane& lane : lanes_) {
      lane.credits = std::max(1, pipeline.memory_chunks / pipeline.lanes);
    }
  }

  RunEvidence run() {
    constexpr int kWarmUp = 1000;
    constexpr int kChunks = 5000;
    while (finished_ < kWarmUp) {
      step();
    }
    begin_ = now_;
    thread_busy_ = sink_busy_ = blocked_ = 0;
    while (finished_ < kWarmUp + kChunks) {
      step();
    }
    const double seconds = now_ - begin_;
    RunEvidence evidence;
    evidence.seconds = seconds;
    evidence.bytes_per_second = kChunks / seconds;
    evidence.threads_busy = thread_busy_ / (seconds * pipeline_.threads);
    evidence.reading_blocked = blocked_ / (seconds * pipeline_.lanes);
    evidence.sink_busy = std::min(1.0, sink_busy_ / seconds);
    return evidence;
  }

 private:
  struct Lane {
    int credits = 0;
    bool is_reading = false;
    bool has_waiting_chunk = false;  // read, and no worker has begun on it
  };
  using Event = std::pair<double, std::function<void()>>;
  struct Later {
    bool operator()(const Event& left, const Event& right) const {
      return left.first > right.first;
    }
  };

  void step() {
    start_work();
    const Event event = events_.top();
    events_.pop();
    const double passed = event.first - now_;
    thread_busy_ += passed * (pipeline_.threads - free_threads_);
    sink_busy_ += is_sinking_ ? passed : 0;
    for (const Lane& lane : lanes_) {
      blocked_ += lane.credits == 0 && !lane.is_reading ? passed : 0;
    }
    now_ = event.first;
    event.second();
  }

  void after(double seconds, std::function<void()> what) {
    events_.emplace(now_ + seconds, std::move(what));
  }

  void start_work() {
    if (!is_sinking_ && !to_sink_.empty()) {
      is_sinking_ = true;
      const std::size_t lane = take(to_sink_);
      after(pipeline_.host * 8 / pipeline_.batch_size + pipeline_.gpu, [this, lane] {
        is_sinking_ = false;
        ++lanes_[lane].credits;
        ++finished_;
      });
    }
    while (free_threads_ > 0 && start_on_thread()) {
    }
  }

  // The furthest work comes first.
  bool start_on_thread() {
    if (!is_packing_ && !to_pack_.empty()) {
      is_packing_ = true;
      const std::size_t lane = take(to_pack_);
      on_thread(pipeline_.pack * slowness_, [this, lane] {
        is_packing_ = false;
        to_sink_.push(lane);
      });
      return true;
    }
    if (!to_transform_.empty()) {
      const std::size_t lane = take(to_transform_);
      lanes_[lane].has_waiting_chunk = false;
      on_thread((pipeline_.parse + pipeline_.tokenize) * slowness_,
                [this, lane] { to_pack_.push(lane); });
      return true;
    }
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      Lane& lane = lanes_[i];
      if (lane.credits > 0 && !lane.is_reading && !lane.has_waiting_chunk) {
        lane.is_reading = true;
        --lane.credits;
        on_thread(pipeline_.decompress * slowness_ + pipeline_.disk, [this, i] {
          lanes_[i].is_reading = false;
          lanes_[i].has_waiting_chunk = true;
          to_transform_.push(i);
        });
        return true;
      }
    }
    return false;
  }

  void on_thread(double seconds, std::function<void()> then) {
    --free_threads_;
    after(seconds, [this, then = std::move(then)] {
      ++free_threads_;
      then();
    });
  }

  static std::size_t take(std::queue<std::size_t>& queue) {
    const std::size_t lane = queue.front();
    queue.pop();
    return lane;
  }

  const SimulatedPipeline& pipeline_;
  const double slowness_;
  int free_threads_;
  std::vector<Lane> lanes_;
  // The lanes whose chunks wait.
  std::queue<std::size_t> to_transform_;
  std::queue<std::size_t> to_pack_;
  std::queue<std::size_t> to_sink_;
  bool is_packing_ = false;
  bool is_sinking_ = false;
  std::priority_queue<Event, std::vector<Event>, Later> events_;
  double now_ = 0;
  double begin_ = 0;
  double thread_busy_ = 0;
  double sink_busy_ = 0;
  double blocked_ = 0;
  int finished_ = 0;
};

}  // namespace

RunEvidence SimulatedPipeline::measure() const {
  RunEvidence evidence = Simulation(*this).run();
  SimulatedPipeline without_sink = *this;
  without_sink.host = without_sink.gpu = 0;
  evidence.feed_bytes_per_second = without_sink.bytes_per_second();
  evidence.processors = processors;
  evidence.threads = threads;
  evidence.lanes = lanes;
  evidence.memory_limit = memory_chunks * kChunkBytes;
  evidence.costs = {{"read", 1, lanes, 1e-6},
                    {"decompress", 1, lanes, decompress},
                    {"parse", 2, std::nullopt, parse},
                    {"tokenize", 2, std::nullopt, tokenize},
                    {"pack", 3, 1, pack}};
  evidence.processor_share = processor_share;
  evidence.disk_wait = disk;
  evidence.sink = "device";
  evidence.sink_has_thread = evidence.sink_is_device = true;
  evidence.batch_size = batch_size;
  evidence.slots = 2;
  if (is_observed) {
    evidence.gpu_busy = evidence.bytes_per_second * gpu;
    evidence.copy_busy = 0.01;
  }
  return evidence;
}

double SimulatedPipeline::bytes_per_second() const {
  return Simulation(*this).run().bytes_per_second;
}

void SimulatedPipeline::apply(const std::string& line) {
  const auto number_in = [&](const std::string& prefix) {
    return std::stoi(line.substr(prefix.size()));
  };
  if (line.rfind("threads: ", 0) == 0) {
    threads = number_in("threads: ");
  } else if (line.rfind("read: {lanes: ", 0) == 0) {
    lanes = number_in("read: {lanes: ");
  } else if (line.rfind("pack: {batch_size: ", 0) == 0) {
    batch_size = number_in("pack: {batch_size: ");
  } else if (line.rfind("memory_limit: ", 0) == 0) {
    memory_chunks = static_cast<int>(parse_bytes(line.substr(14)).value() / kChunkBytes);
  } else {
    throw std::invalid_argument("no such option: " + line);
  }
}

}  // namespace penstock
