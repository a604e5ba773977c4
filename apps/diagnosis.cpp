#include "apps/diagnosis.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "apps/bench_report.h"
#include "apps/number_text.h"

namespace penstock {
namespace {

constexpr double kSaturated = 0.85;
constexpr double kBlocked = 0.5;
constexpr double kQuiet = 0.9;  // a lower share of processors is another program's doing
constexpr double kWorthWhile = 1.03;
constexpr int kMostLanes = 64;
constexpr const char* kDiskName = "waiting for the disk";

// What the speed of a pipeline depends on.
struct SpeedModel {
  std::vector<StageCost> costs;
  int cores = 1;
  double processor_share = 1;
  double disk_wait = 0;  // seconds a byte
  int lanes = 1;
  double sink_bytes_per_second = 0;  // 0: no bound

  // With the stages as slow as they are on this machine, and the disk as a stage.
  std::vector<StageCost> real_costs() const {
    std::vector<StageCost> real = costs;
    for (StageCost& cost : real) {
      cost.seconds_per_byte /= processor_share;
      if (cost.node == costs.front().node) {
        cost.width = lanes;
      }
    }
    if (disk_wait > 0) {
      real.push_back({kDiskName, costs.front().node, lanes, disk_wait});
    }
    return real;
  }
  double feed() const { return ceiling(real_costs(), cores); }
  double bytes_per_second() const {
    return sink_bytes_per_second > 0 ? std::min(feed(), sink_bytes_per_second) : feed();
  }
};

Bottleneck bottleneck_of_stage(const std::string& name) {
  const std::string type = name.substr(0, name.find('['));
  if (type == "decompress") {
    return Bottleneck::kDecompression;
  }
  if (type == "parse") {
    return Bottleneck::kParsing;
  }
  if (type == "tokenize") {
    return Bottleneck::kTokenization;
  }
  if (type == "pack") {
    return Bottleneck::kPacking;
  }
  return type == kDiskName || type == "read" ? Bottleneck::kDisk : Bottleneck::kOtherStage;
}

// Finds out what limits one run and what would help.
class Diagnostician {
 public:
  explicit Diagnostician(const RunEvidence& evidence)
      : evidence_(evidence), sink_limits_(evidence.sink_busy >= kSaturated) {
    model_.costs = evidence.costs;
    model_.cores = std::min(evidence.threads, evidence.processors);
    model_.processor_share = evidence.processor_share;
    model_.disk_wait = evidence.disk_wait;
    model_.lanes = evidence.lanes;
    if (evidence.sink_busy > 0) {
      model_.sink_bytes_per_second = evidence.bytes_per_second / evidence.sink_busy;
    }
    // Reading is also blocked where a stage behind it is as busy as it can be.
    memory_limits_ = !sink_limits_ && evidence.reading_blocked >= kBlocked &&
                     evidence.threads_busy < kSaturated &&
                     evidence.bytes_per_second < kSaturated * model_.feed();
    if (sink_limits_) {
      efficiency_ = evidence.feed_bytes_per_second / model_.feed();
    } else if (!memory_limits_) {  // else nothing tells how much of the rest is lost
      efficiency_ = evidence.bytes_per_second / model_.bytes_per_second();
    }
    efficiency_ = std::clamp(efficiency_, 0.1, 1.1);
  }

  Diagnosis run() {
    Diagnosis diagnosis;
    if (sink_limits_) {
      judge_sink(diagnosis);
    } else if (memory_limits_) {
      diagnosis.limit = Bottleneck::kMemoryLimit;
      diagnosis.evidence = fmt::format(
          "Reading waited for {} of the time because memory_limit ({}) was used up, while the "
          "threads were busy for {} only.",
          share_text(evidence_.reading_blocked),
          memory_size(evidence_.memory_limit),
          share_text(evidence_.threads_busy));
    } else {
      judge_feed(diagnosis);
    }
    collect_remedies(diagnosis);
    return diagnosis;
  }

 private:
  // ---- what limits

  void judge_sink(Diagnosis& diagnosis) const {
    diagnosis.stage = evidence_.sink;
    const std::string busy = fmt::format("{} of '{}' was busy for {} of the time",
                                         evidence_.sink_has_thread ? "The thread" : "The work",
                                         evidence_.sink,
                                         share_text(evidence_.sink_busy));
    if (!evidence_.sink_is_device) {
      diagnosis.limit = Bottleneck::kWriting;
      diagnosis.evidence = busy + '.';
    } else if (std::isnan(evidence_.gpu_busy)) {
      diagnosis.limit = Bottleneck::kDeviceOnCpu;
      diagnosis.evidence = busy + "; it computes on the CPU, or its GPU was not observed.";
    } else {
      diagnosis.limit = gpu_limit();
      diagnosis.evidence =
          fmt::format("{}; its GPU computed for {} of the time and copied batches for {}.",
                      busy,
                      share_text(evidence_.gpu_busy),
                      share_text(copy_busy()));
    }
    diagnosis.evidence += fmt::format(" Without sinks the pipeline makes {} of text, with them {}.",
                                      data_rate(evidence_.feed_bytes_per_second),
                                      data_rate(evidence_.bytes_per_second));
  }

  double copy_busy() const { return std::isnan(evidence_.copy_busy) ? 0 : evidence_.copy_busy; }

  Bottleneck gpu_limit() const {
    if (evidence_.gpu_busy >= kSaturated) {
      return Bottleneck::kGpu;
    }
    return copy_busy() >= kSaturated ? Bottleneck::kCopy : Bottleneck::kHostSynchronisation;
  }

  void judge_feed(Diagnosis& diagnosis) const {
    const std::vector<StageCost> costs = model_.real_costs();
    const CeilingLimit limit = find_limit(costs, model_.cores);
    const StageCost& stage = costs[limit.stage];
    diagnosis.stage = stage.name == kDiskName ? costs.front().name : stage.name;
    diagnosis.limit = bottleneck_of_stage(stage.name);
    if (limit.narrow) {
      diagnosis.evidence = fmt::format(
          "At most {} can work on '{}' at a time, and it takes {:.2f} ns for a byte; the threads "
          "were busy for {} of the time.",
          counted(*limit.narrow, "thread"),
          diagnosis.stage,
          1e9 * stage.seconds_per_byte,
          share_text(evidence_.threads_busy));
      const bool is_source = stage.node == costs.front().node;
      if (is_source && stage.name != kDiskName && evidence_.has_lanes_option) {
        diagnosis.limit = Bottleneck::kTooFewLanes;
      }
      if (stage.name == kDiskName) {
        diagnosis.evidence = fmt::format(
            "Reading waited for the disk for {:.2f} ns a byte of text, {} of the time of its {}.",
            1e9 * stage.seconds_per_byte,
            share_text(std::min(
                1.0, evidence_.bytes_per_second * stage.seconds_per_byte / evidence_.lanes)),
            counted(evidence_.lanes, "lane"));
      }
      return;
    }
    diagnosis.evidence = fmt::format(
        "The threads were busy for {} of the time, and '{}' takes {} of a core's time for a byte.",
        share_text(evidence_.threads_busy),
        diagnosis.stage,
        share_text(limit.core_share));
    if (evidence_.threads < evidence_.processors) {
      diagnosis.limit = Bottleneck::kTooFewThreads;
      diagnosis.evidence += fmt::format(" It runs on {}, though there are {}.",
                                        counted(evidence_.threads, "thread"),
                                        counted(evidence_.processors, "processor"));
    } else if (evidence_.processor_share < kQuiet) {
      diagnosis.limit = Bottleneck::kNoisyNeighbour;
      diagnosis.evidence += fmt::format(
          " But other programs were busy too: a thread that had work got a processor for {} of the "
          "time.",
          share_text(evidence_.processor_share));
    }
  }

  // ---- what would help

  double predict(const SpeedModel& changed) const {
    const double feed = efficiency_ * changed.feed();
    return changed.sink_bytes_per_second > 0 ? std::min(feed, changed.sink_bytes_per_second) : feed;
  }

  void collect_remedies(Diagnosis& diagnosis) const {
    std::vector<Remedy>& remedies = diagnosis.remedies;
    if (sink_limits_) {
      add_sink_remedies(diagnosis.limit, remedies);
    } else if (memory_limits_) {
      // Threads that are busy all of the time do no more than this.
      const double most = evidence_.bytes_per_second / std::max(evidence_.threads_busy, 0.01);
      if (const std::int64_t ample = ample_memory(); ample > evidence_.memory_limit) {
        remedies.push_back({"Let more bytes be in flight.",
                            {{"", "memory_limit", bytes_option(ample)}},
                            std::min(predict(model_), most)});
      }
    } else {
      add_feed_remedies(remedies);
    }
    remedies.erase(std::remove_if(remedies.begin(),
                                  remedies.end(),
                                  [&](const Remedy& remedy) {
                                    return remedy.predicted <
                                           kWorthWhile * evidence_.bytes_per_second;
                                  }),
                   remedies.end());
    sort_by_gain(remedies);
    if (sink_limits_) {
      add_fewer_threads(remedies);
    }
  }

  void add_feed_remedies(std::vector<Remedy>& remedies) const {
    const std::optional<int> lanes = better_lanes(model_);
    SpeedModel threads = model_;
    threads.cores = evidence_.processors;
    const OptionChange use_all = threads_change(evidence_.processors);
    if (evidence_.threads < evidence_.processors) {
      remedies.push_back({"Use every processor.", {use_all}, predict(threads)});
      if (const std::optional<int> more = better_lanes(threads)) {
        SpeedModel both = threads;
        both.lanes = *more;
        remedies.push_back(
            {"Use every processor, and read more shards at a time (documents come "
             "in another, equally fixed, order).",
             {use_all, lanes_change(*more)},
             predict(both)});
      }
    }
    if (lanes) {
      SpeedModel more = model_;
      more.lanes = *lanes;
      remedies.push_back(
          {"Read more shards at a time (documents come in another, equally fixed, "
           "order).",
           {lanes_change(*lanes)},
           predict(more)});
    }
    add_remedies_outside(remedies);
  }

  // What no configuration changes.
  void add_remedies_outside(std::vector<Remedy>& remedies) const {
    if (model_.disk_wait > 0) {
      SpeedModel changed = model_;
      changed.disk_wait = 0;
      remedies.push_back(
          {"Put the shards on a disk that never keeps reading waiting.", {}, predict(changed)});
    }
    if (model_.processor_share < kQuiet) {
      SpeedModel changed = model_;
      changed.processor_share = 1;
      remedies.push_back({"Let no other program run on this machine.", {}, predict(changed)});
    }
    for (std::size_t i = 0; i < model_.costs.size(); ++i) {
      SpeedModel changed = model_;
      const std::string& name = changed.costs[i].name;
      if (bottleneck_of_stage(name) == Bottleneck::kDecompression) {
        // There is more to read then, and it is copied once more.
        changed.disk_wait *= evidence_.expansion;
        changed.costs.front().seconds_per_byte *= evidence_.expansion;
        changed.costs[i].seconds_per_byte = changed.costs.front().seconds_per_byte;
        remedies.push_back({"Store the shards without compression.", {}, predict(changed)});
      } else if (name != "read") {
        changed.costs[i].seconds_per_byte /= 2;
        const bool has_model = bottleneck_of_stage(name) == Bottleneck::kTokenization;
        remedies.push_back({"Make '" + name + "' twice as fast" +
                                (has_model ? ", by a simpler model for example." : "."),
                            {},
                            predict(changed)});
      }
    }
  }

  // The least number of lanes with which the source is not what limits; none where more would not
  // help.
  std::optional<int> better_lanes(const SpeedModel& model) const {
    if (!evidence_.has_lanes_option) {
      return std::nullopt;
    }
    SpeedModel changed = model;
    changed.lanes = kMostLanes;
    const double best = changed.bytes_per_second();
    for (int lanes = evidence_.lanes + 1; lanes <= kMostLanes; ++lanes) {
      changed.lanes = lanes;
      if (changed.bytes_per_second() >= best * (1 - 1e-9)) {
        break;
      }
    }
    const bool helps = changed.bytes_per_second() >= kWorthWhile * model.bytes_per_second();
    return helps ? std::optional(changed.lanes) : std::nullopt;
  }

  static OptionChange threads_change(int threads) {
    return {"", "threads", std::to_string(threads)};
  }

  OptionChange lanes_change(int lanes) const {
    return {evidence_.costs.front().name, "lanes", std::to_string(lanes)};
  }

  SpeedModel with_faster_sink(double factor) const {
    SpeedModel changed = model_;
    changed.sink_bytes_per_second *= factor;
    return changed;
  }

  void add_sink_remedies(Bottleneck limit, std::vector<Remedy>& remedies) const {
    switch (limit) {
      case Bottleneck::kHostSynchronisation:
        if (evidence_.batch_size > 0) {
          // The GPU's part of a batch stays; what the host does is shared by twice as many.
          const double host = 1 - evidence_.gpu_busy;
          remedies.push_back(
              {"Make larger batches: what the host does for each of them then counts "
               "half (the batches are others, of course).",
               {{evidence_.batching_stage, "batch_size", std::to_string(2 * evidence_.batch_size)}},
               predict(with_faster_sink(1 / (1 - host / 2)))});
        }
        break;
      case Bottleneck::kCopy:
        if (evidence_.slots > 0) {
          remedies.push_back({"Copy more batches ahead of the one that is computed.",
                              {{evidence_.sink, "slots", std::to_string(2 * evidence_.slots)}},
                              predict(with_faster_sink(evidence_.sink_busy / copy_busy()))});
        }
        remedies.push_back({"Use a machine that copies to its GPU twice as fast.",
                            {},
                            predict(with_faster_sink(1 / (1 - copy_busy() / 2)))});
        return;
      case Bottleneck::kDeviceOnCpu:
        if (evidence_.threads < evidence_.processors) {
          SpeedModel changed =
              with_faster_sink(evidence_.processors / static_cast<double>(evidence_.threads));
          changed.cores = evidence_.processors;
          remedies.push_back(
              {"Use every processor: training on the CPU computes with all of the threads.",
               {threads_change(evidence_.processors)},
               predict(changed)});
        }
        break;
      default:
        break;
    }
    remedies.push_back({limit == Bottleneck::kGpu || limit == Bottleneck::kDeviceOnCpu
                            ? "Use a device that is twice as fast."
                            : "Make '" + evidence_.sink + "' twice as fast.",
                        {},
                        predict(with_faster_sink(2))});
  }

  // The fewest threads that still keep the sink busy, with a fifth to spare.
  void add_fewer_threads(std::vector<Remedy>& remedies) const {
    constexpr double kSpare = 1.2;
    SpeedModel fewer = model_;
    for (fewer.cores = 1; fewer.cores < evidence_.threads; ++fewer.cores) {
      if (efficiency_ * fewer.feed() >= kSpare * evidence_.bytes_per_second) {
        remedies.push_back({"Use fewer threads: nothing faster, but processors for other programs.",
                            {threads_change(fewer.cores)},
                            evidence_.bytes_per_second});
        return;
      }
    }
  }

  // Four times the limit. Where that is less than a chunk for each lane, every lane has one all the
  // same, and what that takes says what there has to be for each thread to have two. No more than
  // half of what there is.
  std::int64_t ample_memory() const {
    std::int64_t ample = 4 * evidence_.memory_limit;
    if (evidence_.peak_in_flight_bytes > evidence_.memory_limit) {
      const std::int64_t chunk = evidence_.peak_in_flight_bytes / evidence_.lanes;
      ample = std::max(ample, 2 * (evidence_.threads + evidence_.lanes) * chunk);
    }
    return std::min(ample, evidence_.machine_memory / 2);
  }

  // As the option takes it.
  static std::string bytes_option(std::int64_t bytes) {
    constexpr std::int64_t kMiB = 1 << 20;
    return bytes % (1024 * kMiB) == 0 ? std::to_string(bytes / (1024 * kMiB)) + "GiB"
                                      : std::to_string((bytes + kMiB - 1) / kMiB) + "MiB";
  }

  const RunEvidence& evidence_;
  const bool sink_limits_;
  bool memory_limits_ = false;
  SpeedModel model_;
  double efficiency_ = 1;
};

}  // namespace

std::string to_string(Bottleneck bottleneck) {
  switch (bottleneck) {
    case Bottleneck::kDisk:
      return "disk";
    case Bottleneck::kDecompression:
      return "decompression";
    case Bottleneck::kParsing:
      return "parsing";
    case Bottleneck::kTokenization:
      return "tokenization";
    case Bottleneck::kPacking:
      return "packing";
    case Bottleneck::kOtherStage:
      return "a stage";
    case Bottleneck::kWriting:
      return "writing";
    case Bottleneck::kCopy:
      return "the copy to the GPU";
    case Bottleneck::kGpu:
      return "the GPU";
    case Bottleneck::kHostSynchronisation:
      return "the host in front of the GPU";
    case Bottleneck::kDeviceOnCpu:
      return "the device, on the CPU";
    case Bottleneck::kMemoryLimit:
      return "memory_limit";
    case Bottleneck::kTooFewLanes:
      return "too few lanes";
    case Bottleneck::kTooFewThreads:
      return "too few threads";
    case Bottleneck::kNoisyNeighbour:
      return "other programs on this machine";
  }
  return "nothing";
}

void sort_by_gain(std::vector<Remedy>& remedies) {
  std::stable_sort(remedies.begin(), remedies.end(), [](const Remedy& left, const Remedy& right) {
    return left.bytes_per_second() > right.bytes_per_second();
  });
}

Diagnosis diagnose(const RunEvidence& evidence) {
  return Diagnostician(evidence).run();
}

}  // namespace penstock
