#include "tests/apps/simulated_pipeline.h"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <string>
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
    sink_busy_ += slots_in_use_ > 0 ? passed : 0;
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
    if (!is_copying_ && slots_in_use_ < pipeline_.slots && !to_copy_.empty()) {
      is_copying_ = true;
      ++slots_in_use_;
      const std::size_t lane = take(to_copy_);
      after(pipeline_.copy, [this, lane] {
        is_copying_ = false;
        to_compute_.push(lane);
      });
    }
    if (!is_computing_ && !to_compute_.empty()) {
      is_computing_ = true;
      const std::size_t lane = take(to_compute_);
      after(pipeline_.host * 8 / pipeline_.batch_size + pipeline_.gpu, [this, lane] {
        is_computing_ = false;
        --slots_in_use_;
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
        to_copy_.push(lane);
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
  std::queue<std::size_t> to_copy_;
  std::queue<std::size_t> to_compute_;
  bool is_packing_ = false;
  bool is_copying_ = false;
  bool is_computing_ = false;
  int slots_in_use_ = 0;
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
  without_sink.copy = without_sink.host = without_sink.gpu = 0;
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
  evidence.batching_stage = "pack";
  evidence.batch_size = batch_size;
  evidence.slots = slots;
  if (is_observed) {
    evidence.gpu_busy = evidence.bytes_per_second * gpu;
    evidence.copy_busy = evidence.bytes_per_second * copy;
  }
  return evidence;
}

double SimulatedPipeline::bytes_per_second() const {
  return Simulation(*this).run().bytes_per_second;
}

void SimulatedPipeline::apply(const OptionChange& change) {
  const std::string what = config_override({change.stage, change.option, ""});
  if (what == "memory_limit=") {
    memory_chunks = static_cast<int>(parse_bytes(change.value).value() / kChunkBytes);
    return;
  }
  const std::map<std::string, int*> options = {{"threads=", &threads},
                                               {"read.lanes=", &lanes},
                                               {"pack.batch_size=", &batch_size},
                                               {"device.slots=", &slots}};
  *options.at(what) = std::stoi(change.value);
}

}  // namespace penstock
