#include "pipeline/stage_replay.h"

#include <algorithm>
#include <ctime>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <variant>

#include <oneapi/tbb/task_arena.h>

#include "pipeline/assembler.h"

namespace penstock {
namespace {

// Processor time of this thread. Other programs on the machine do not count, nor does waiting.
std::int64_t processor_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Where so many passes over the input hold no text, there is none.
constexpr int kPassesWithoutText = 2;

double seconds(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) * 1e-9;
}

// Runs `body` where parallel algorithms of oneTBB have this thread alone.
template <typename Body>
auto on_one_thread(const Body& body) {
  oneapi::tbb::task_arena arena(1);
  return arena.execute(body);
}

// Shares out processor time in proportion to the time that rows were busy; the first one gets all
// where none was.
std::vector<double> share_out(std::int64_t nanoseconds, const std::vector<std::int64_t>& busy_ns) {
  const auto sum = std::accumulate(busy_ns.begin(), busy_ns.end(), std::int64_t{0});
  std::vector<double> shares(busy_ns.size());
  shares.front() = seconds(nanoseconds);
  for (std::size_t row = 0; sum > 0 && row < busy_ns.size(); ++row) {
    shares[row] =
        seconds(nanoseconds) * static_cast<double>(busy_ns[row]) / static_cast<double>(sum);
  }
  return shares;
}

}  // namespace

std::string text_stage(const PipelineConfig& config, const StageRegistry& registry) {
  const std::vector<std::string> labels = stage_labels(config.stages);
  std::string found;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const StageType* type = registry.find(config.stages[i].stage());
    if (type != nullptr && std::holds_alternative<StageFactory>(type->factory) &&
        (found.empty() || type->input == Payload::kDocuments)) {
      found = labels[i];
    }
  }
  return found;
}

// The endless stream of a configuration's source, its chunks dealt as the order step deals them.
class StageReplay::Stream {
 public:
  Stream(const StageConfig& config, const StageType& type)
      : row_(metrics_.add(config.stage(), 1)),
        source_(std::get<SourceFactory>(type.factory),
                config,
                BuildContext{stream_, metrics_, row_, files_, 1}),
        ended_(static_cast<std::size_t>(source_.lanes())),
        busy_ns_(metrics_.rows().size()) {}

  int lanes() const { return source_.lanes(); }
  int passes() const { return source_.passes(); }
  const StreamInfo& info() const { return stream_; }

  std::vector<std::string> rows() const {
    std::vector<std::string> names;
    for (const StageMetrics& row : metrics_.rows()) {
      names.push_back(row.name);
    }
    return names;
  }

  // The next chunk; nothing where no lane holds any, or at a stop.
  std::optional<Chunk> next(const std::stop_token& stop) {
    for (std::size_t tried = 0; tried < ended_.size() && !stop.stop_requested(); ++tried) {
      const std::size_t lane = turn_;
      turn_ = (turn_ + 1) % ended_.size();
      if (ended_[lane]) {
        continue;
      }
      source_.reuse(static_cast<int>(lane), std::exchange(spare_, {}));
      const std::int64_t begin = processor_ns();
      std::optional<Chunk> chunk = source_.next(static_cast<int>(lane), stop);
      processor_ns_ += processor_ns() - begin;
      if (chunk) {
        return chunk;
      }
      ended_[lane] = true;
    }
    return std::nullopt;
  }

  // Memory for the next chunk.
  void reuse(SpareMemory spare) { spare_ = std::move(spare); }

  // Seconds since the last call, by row.
  std::vector<double> take_seconds() {
    std::vector<std::int64_t> busy;
    for (std::size_t row = 0; row < busy_ns_.size(); ++row) {
      const std::int64_t now = metrics_.rows()[row].busy.total_ns();
      busy.push_back(now - std::exchange(busy_ns_[row], now));
    }
    return share_out(std::exchange(processor_ns_, 0), busy);
  }

 private:
  StreamInfo stream_;
  FileClaims files_;
  Metrics metrics_;
  StageMetrics& row_;
  EndlessSource source_;
  std::vector<bool> ended_;
  std::size_t turn_ = 0;
  SpareMemory spare_;
  std::int64_t processor_ns_ = 0;
  std::vector<std::int64_t> busy_ns_;  // by row, when it was last taken
};

StageReplay::StageReplay(const PipelineConfig& config, const StageRegistry& registry)
    : registry_(registry), text_stage_(text_stage(config, registry)) {
  const std::vector<std::string> labels = stage_labels(config.stages);
  for (std::size_t i = 0; i < config.stages.size(); ++i) {
    const StageConfig& stage = config.stages[i];
    const StageType* type = registry.find(stage.stage());
    if (type == nullptr) {
      throw std::logic_error("stage '" + stage.stage() + "' is not registered");
    }
    build(stage, *type, labels[i]);
  }
}

StageReplay::~StageReplay() = default;

void StageReplay::build(const StageConfig& stage, const StageType& type, const std::string& label) {
  const int node = stages_.empty() ? 0 : stages_.back().node + 1;
  const BuildContext context{stream_, metrics_, metrics_.add(stage.stage(), 1), files_, 1};
  if (std::holds_alternative<SourceFactory>(type.factory)) {
    source_config_ = stage;
    const Stream source(stage, type);
    stream_ = source.info();
    for (const std::string& row : source.rows()) {
      stages_.push_back({row, node, source.lanes()});
    }
    source_rows_ = stages_.size();
  } else if (const auto* prepare = std::get_if<StageFactory>(&type.factory)) {
    const bool fused = !transforms_.empty() && transforms_.back().ordering == type.ordering;
    stages_.push_back({label,
                       fused ? node - 1 : node,
                       type.ordering == Ordering::kInOrder ? std::optional(1) : std::nullopt});
    transforms_.push_back({label, (*prepare)(stage, context), type.ordering, {}});
  } else if (std::holds_alternative<AssemblerFactory>(type.factory)) {
    assembler_config_ = stage;
    stages_.push_back({label, node, 1});
  } else if (std::holds_alternative<BatchStageFactory>(type.factory)) {
    batch_stage_configs_.push_back(stage);
    stages_.push_back({label, node - 1, 1});  // on the assembler's node
  }
}

void StageReplay::capture(std::int64_t text_bytes, const std::stop_token& stop) {
  on_one_thread([&] {
    Stream stream(source_config_, *registry_.find(source_config_.stage()));
    std::vector<std::unique_ptr<Stage>> instances;
    for (const Transform& transform : transforms_) {
      instances.push_back(transform.make_instance());
    }
    std::int64_t text = 0;
    while (text < text_bytes || sample_.size() % 2 != 0) {
      std::optional<Chunk> chunk = stream.next(stop);
      if (!chunk || (text == 0 && stream.passes() > kPassesWithoutText)) {
        break;
      }
      sample_.push_back(sample_chunk(std::move(*chunk), instances));
      text += sample_.back().text_bytes;
    }
    passes_ = stream.passes();
    if (stop.stop_requested()) {
      return;
    }
    if (text == 0) {
      throw std::runtime_error("the input holds no text, so there is nothing to measure");
    }
    const auto middle = sample_.begin() + std::ssize(sample_) / 2;
    const auto has_text = [](const SampledChunk& sampled) { return sampled.text_bytes > 0; };
    if (std::none_of(sample_.begin(), middle, has_text) ||
        std::none_of(middle, sample_.end(), has_text)) {
      throw std::runtime_error("one half of the sample holds no text; a larger sample is needed");
    }
  });
}

SampledChunk StageReplay::sample_chunk(Chunk chunk,
                                       const std::vector<std::unique_ptr<Stage>>& instances) {
  SampledChunk sampled{
      info(chunk).position, info(chunk).num_records, /*text_bytes=*/0, /*tokens=*/0};
  for (std::size_t i = 0; i < transforms_.size(); ++i) {
    if (transforms_[i].label == text_stage_) {
      sampled.text_bytes = content_bytes(chunk);
    }
    transforms_[i].inputs.push_back(copy_of(chunk));
    chunk = instances[i]->process_chunk(std::move(chunk));
  }
  sampled.tokens = std::ssize(std::get<TokenChunk>(chunk).ids);
  assembler_inputs_.push_back(copy_of(chunk));
  return sampled;
}

std::vector<ReplayTime> StageReplay::measure(const std::stop_token& stop) {
  return on_one_thread([&] {
    std::vector<ReplayTime> times = measure_source(stop);
    for (const Transform& transform : transforms_) {
      times.push_back(measure_transform(transform, stop));
    }
    const std::vector<ReplayTime> of_batches = measure_assembler(stop);
    times.insert(times.end(), of_batches.begin(), of_batches.end());
    return times;
  });
}

template <typename Body>
ReplayTime StageReplay::time_halves(const Body& body, const std::stop_token& stop) const {
  std::int64_t first_ns = 0;
  std::int64_t second_ns = 0;
  for (std::size_t i = 0; i < sample_.size() && !stop.stop_requested(); ++i) {
    (i < sample_.size() / 2 ? first_ns : second_ns) += body(i);
  }
  return {seconds(first_ns), seconds(second_ns)};
}

std::vector<ReplayTime> StageReplay::measure_source(const std::stop_token& stop) {
  Stream stream(source_config_, *registry_.find(source_config_.stage()));
  const auto read_half = [&] {
    for (std::size_t i = 0; i < sample_.size() / 2; ++i) {
      if (std::optional<Chunk> chunk = stream.next(stop)) {
        stream.reuse(release(*std::move(chunk)));
      }
    }
    return stream.take_seconds();
  };
  const std::vector<double> first = read_half();
  const std::vector<double> second = read_half();
  std::vector<ReplayTime> times;
  for (std::size_t row = 0; row < source_rows_; ++row) {
    times.push_back({first[row], second[row]});
  }
  return times;
}

ReplayTime StageReplay::measure_transform(const Transform& transform,
                                          const std::stop_token& stop) const {
  const std::unique_ptr<Stage> stage = transform.make_instance();
  SpareMemory spare;
  return time_halves(
      [&](std::size_t i) {
        Chunk chunk = copy_of(transform.inputs[i]);
        info(chunk).spare = std::exchange(spare, {});
        const std::int64_t begin = processor_ns();
        chunk = stage->process_chunk(std::move(chunk));
        const std::int64_t end = processor_ns();
        spare = release(std::move(chunk));
        return end - begin;
      },
      stop);
}

std::vector<ReplayTime> StageReplay::measure_assembler(const std::stop_token& stop) {
  StreamInfo stream = stream_;
  FileClaims files;
  Metrics metrics;
  const auto context = [&](const StageConfig& config) {
    return BuildContext{stream, metrics, metrics.add(config.stage(), 1), files, 1};
  };
  const auto assembler =
      std::get<AssemblerFactory>(registry_.find(assembler_config_.stage())->factory)(
          assembler_config_, context(assembler_config_));
  std::vector<std::unique_ptr<BatchStage>> batch_stages;
  for (const StageConfig& config : batch_stage_configs_) {
    batch_stages.push_back(std::get<BatchStageFactory>(registry_.find(config.stage())->factory)(
        config, context(config)));
  }
  std::vector<ReplayTime> times(1 + batch_stages.size());
  std::vector<Batch> full;
  const std::size_t middle = sample_.size() / 2;
  for (std::size_t i = 0; i < sample_.size() && !stop.stop_requested(); ++i) {
    const auto add_time = [&](std::size_t row, std::int64_t begin) {
      double& half = i < middle ? times[row].first_half : times[row].second_half;
      half += seconds(processor_ns() - begin);
    };
    const Chunk chunk = copy_of(assembler_inputs_[i]);
    const std::int64_t begin = processor_ns();
    assembler->add(std::get<TokenChunk>(chunk), full);
    add_time(0, begin);
    for (Batch& batch : full) {
      for (std::size_t stage = 0; stage < batch_stages.size(); ++stage) {
        const std::int64_t begin_of_stage = processor_ns();
        batch = batch_stages[stage]->process(std::move(batch));
        add_time(1 + stage, begin_of_stage);
      }
      // What becomes of batches that a sink discards.
      assembler->reuse(std::move(batch));
    }
    full.clear();
  }
  return times;
}

}  // namespace penstock
