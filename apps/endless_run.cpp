#include "apps/endless_run.h"

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <variant>

#include "apps/watched_assembler.h"
#include "pipeline/span.h"
#include "stages/discard.h"

namespace penstock {
namespace {

// The same with assemblers that are watched.
StageRegistry endless_registry(const StageRegistry& registry,
                               const WatchedAssembler::Watch& watch) {
  StageRegistry endless = with_endless_sources(registry);
  for (const auto& [name, type] : registry.types()) {
    if (const auto* make_assembler = std::get_if<AssemblerFactory>(&type.factory)) {
      endless.replace_factory(
          name,
          AssemblerFactory([make = *make_assembler, watch](const StageConfig& config,
                                                           const BuildContext& context) {
            return std::make_unique<WatchedAssembler>(make(config, context), watch);
          }));
    }
  }
  return endless;
}

using Watch = std::function<void(const SampledChunk& chunk, const Pipeline& pipeline)>;

RunSummary run_endlessly(const PipelineConfig& config,
                         const StageRegistry& registry,
                         const Watch& watch,
                         const std::stop_token& stop) {
  const Pipeline* running = nullptr;
  const StageRegistry endless =
      endless_registry(registry, [&](const SampledChunk& chunk) { watch(chunk, *running); });
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<DiscardSink>());
  Pipeline pipeline(config, endless, std::move(sinks));
  running = &pipeline;
  return pipeline.run(stop);
}

// How far a run has come.
struct Progress {
  std::int64_t ns = now_ns();
  double cpu_seconds = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;  // of the process
  std::int64_t text_bytes = 0;
};

Progress progress_of(const Pipeline& pipeline, const std::string& text_row) {
  Progress progress;
  for (const StageSummary& stage : pipeline.progress().stages) {
    if (stage.name == text_row) {
      progress.text_bytes = stage.bytes_in;
    }
  }
  return progress;
}

void set_stretch(const Progress& begin, const Progress& end, EndlessRun& run) {
  run.seconds = static_cast<double>(end.ns - begin.ns) * 1e-9;
  run.cpu_seconds = end.cpu_seconds - begin.cpu_seconds;
  run.text_bytes = end.text_bytes - begin.text_bytes;
}

bool is_same(const SampledChunk& left, const SampledChunk& right) {
  const auto shard = [](const SampledChunk& chunk) {
    return chunk.position.shard ? *chunk.position.shard : std::string();
  };
  return shard(left) == shard(right) && left.position.record == right.position.record &&
         left.position.byte_offset == right.position.byte_offset &&
         left.num_records == right.num_records && left.tokens == right.tokens;
}

}  // namespace

StageRegistry with_endless_sources(const StageRegistry& registry,
                                   const std::function<void(const EndlessSource&)>& made) {
  StageRegistry endless = registry;
  for (const auto& [name, type] : registry.types()) {
    if (const auto* make_source = std::get_if<SourceFactory>(&type.factory)) {
      endless.replace_factory(
          name,
          SourceFactory(
              [make = *make_source, made](const StageConfig& config, const BuildContext& context) {
                auto source = std::make_unique<EndlessSource>(make, config, context);
                if (made) {
                  made(*source);
                }
                return source;
              }));
    }
  }
  return endless;
}

EndlessRun run_for(double seconds,
                   const PipelineConfig& config,
                   const StageRegistry& registry,
                   const std::stop_token& stop) {
  std::stop_source enough;
  const std::stop_callback pass_on(stop, [&] { enough.request_stop(); });
  EndlessRun run;
  const std::string stage = text_stage(config, registry);
  std::optional<Progress> begin;
  const auto watch = [&](const SampledChunk&, const Pipeline& pipeline) {
    const Progress now = progress_of(pipeline, stage);
    if (!begin) {
      begin = now;
      return;
    }
    set_stretch(*begin, now, run);
    if (run.seconds >= seconds) {
      enough.request_stop();
    }
  };
  run.summary = run_endlessly(config, registry, watch, enough.get_token());
  return run;
}

EndlessRun run_sample(const std::vector<SampledChunk>& sample,
                      double longest_seconds,
                      const PipelineConfig& config,
                      const StageRegistry& registry,
                      const std::stop_token& stop) {
  std::stop_source enough;
  const std::stop_callback pass_on(stop, [&] { enough.request_stop(); });
  EndlessRun run;
  const std::string stage = text_stage(config, registry);
  const auto least = static_cast<std::size_t>(kLeastChunks * std::stoi(config.run.text("threads")));
  const std::size_t middle = sample.size() / 2;
  std::size_t packed = 0;
  Progress begin;
  const auto watch = [&](const SampledChunk& chunk, const Pipeline& pipeline) {
    if (packed < sample.size() && !is_same(chunk, sample[packed])) {
      throw std::runtime_error("the stream is not the same as before at " +
                               to_string(chunk.position) +
                               "; the input has to stay as it is while it is measured");
    }
    ++packed;
    if (packed == middle) {
      begin = progress_of(pipeline, stage);
    } else if (packed >= sample.size() && !enough.stop_requested()) {
      set_stretch(begin, progress_of(pipeline, stage), run);
      if (packed >= middle + least || run.seconds >= longest_seconds) {
        enough.request_stop();
      }
    }
  };
  run.summary = run_endlessly(config, registry, watch, enough.get_token());
  return run;
}

}  // namespace penstock
