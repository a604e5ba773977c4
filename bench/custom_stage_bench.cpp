// What a stage of a plug-in costs when it does nothing: the framework's part of every stage. See
// bench/README.md.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "pipeline/metrics.h"
#include "pipeline/plugin_loader.h"
#include "pipeline/stage_chain.h"
#include "testing/chunks.h"

namespace penstock::bench {
namespace {

constexpr std::int64_t kTextBytes = 256 << 10;  // of a chunk, whatever the number of documents is

Chunk documents(std::int64_t count) {
  const std::string text(static_cast<std::size_t>(kTextBytes / count), 'x');
  return testing::document_chunk(std::vector<std::string>(static_cast<std::size_t>(count), text));
}

Chunk tokens(std::int64_t count) {
  const std::vector<TokenId> ids(static_cast<std::size_t>(kTextBytes / 4 / count), 7);
  return testing::token_chunk(
      std::vector<std::vector<TokenId>>(static_cast<std::size_t>(count), ids));
}

// Sends one chunk through so many stages again and again, as a worker of a run does.
void no_op_stages(benchmark::State& state, const std::string& name, Chunk chunk) {
  StageRegistry registry;
  load_plugin(PENSTOCK_NO_OP_PLUGIN, "", registry);
  const StageType& type = *registry.find(name);
  StreamInfo stream;
  Metrics metrics;
  FileClaims files;
  const StageConfig config(name, "", {}, {});
  std::vector<BuiltStage> stages;
  for (std::int64_t i = 0; i < state.range(1); ++i) {
    StageMetrics& row = metrics.add(name, 1);
    const BuildContext context{stream, metrics, row, files};
    stages.push_back({name,
                      type.output,
                      type.ordering,
                      std::get<StageFactory>(type.factory)(config, context),
                      &row});
  }
  StageChain chain(std::move(stages), Ordering::kParallel, 1);
  for (auto _ : state) {
    chain.process(chunk, 0);
  }
  // Seconds: of one stage and one chunk.
  state.counters["a_stage"] =
      benchmark::Counter(static_cast<double>(state.iterations() * state.range(1)),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void no_op_documents(benchmark::State& state) {
  no_op_stages(state, "no_op", documents(state.range(0)));
}

void no_op_tokens(benchmark::State& state) {
  no_op_stages(state, "no_op_tokens", tokens(state.range(0)));
}

BENCHMARK(no_op_documents)
    ->ArgNames({"documents", "stages"})
    ->ArgsProduct({{1, 100, 1000, 10'000}, {1, 4}});
BENCHMARK(no_op_tokens)
    ->ArgNames({"documents", "stages"})
    ->ArgsProduct({{1, 100, 1000, 10'000}, {1, 4}});

}  // namespace
}  // namespace penstock::bench

BENCHMARK_MAIN();
