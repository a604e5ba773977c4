// What the graph costs: the same stages in a plain loop, in the flow graph, and in
// tbb::parallel_pipeline, over the same compressed shards. See bench/README.md.
#include <memory>
#include <string>
#include <utility>

#include <benchmark/benchmark.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>

#include "bench/bench_corpus.h"
#include "bench/bench_parts.h"
#include "pipeline/pipeline.h"

namespace penstock::bench {
namespace {

// What goes through the chain in one iteration.
struct Workload {
  std::string name;
  std::string tokenizer;
  BenchCorpus corpus;
};

void report(benchmark::State& state, const Workload& workload, std::int64_t tokens) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          workload.corpus.raw_bytes());
  state.counters["tokens"] = static_cast<double>(tokens);
}

void plain_loop(benchmark::State& state, const Workload& workload, int lanes) {
  const StageRegistry registry = bench_registry();
  const PipelineConfig config =
      bench_config({workload.corpus.pattern()}, workload.tokenizer, 1, lanes);
  std::int64_t tokens = 0;
  for (auto _ : state) {
    LooseParts parts(config, registry);
    while (std::optional<Chunk> chunk = parts.next()) {
      parts.pack(parts.transform(std::move(*chunk), 0));
    }
    tokens = parts.finish();
  }
  report(state, workload, tokens);
}

void flow_graph(benchmark::State& state, const Workload& workload, int threads, int lanes) {
  const StageRegistry registry = bench_registry();
  const PipelineConfig config =
      bench_config({workload.corpus.pattern()}, workload.tokenizer, threads, lanes);
  std::int64_t tokens = 0;
  for (auto _ : state) {
    tokens = Pipeline(config, registry).run().tokens.out;
  }
  report(state, workload, tokens);
}

void parallel_pipeline(benchmark::State& state, const Workload& workload, int threads, int lanes) {
  namespace tbb = oneapi::tbb;
  using Message = std::shared_ptr<Chunk>;
  const StageRegistry registry = bench_registry();
  const PipelineConfig config =
      bench_config({workload.corpus.pattern()}, workload.tokenizer, threads, lanes);
  std::int64_t tokens = 0;
  for (auto _ : state) {
    LooseParts parts(config, registry);
    tbb::task_arena arena(threads);
    arena.execute([&] {
      tbb::parallel_pipeline(
          static_cast<std::size_t>(4 * threads),
          tbb::make_filter<void, Message>(tbb::filter_mode::serial_in_order,
                                          [&](tbb::flow_control& control) -> Message {
                                            std::optional<Chunk> chunk = parts.next();
                                            if (!chunk) {
                                              control.stop();
                                              return nullptr;
                                            }
                                            return std::make_shared<Chunk>(std::move(*chunk));
                                          }) &
              tbb::make_filter<Message, Message>(
                  tbb::filter_mode::parallel,
                  [&](const Message& message) {
                    const int slot = tbb::this_task_arena::current_thread_index();
                    *message = parts.transform(std::move(*message), static_cast<std::size_t>(slot));
                    return message;
                  }) &
              tbb::make_filter<Message, void>(
                  tbb::filter_mode::serial_in_order,
                  [&](const Message& message) { parts.pack(std::move(*message)); }));
    });
    tokens = parts.finish();
  }
  report(state, workload, tokens);
}

void register_workload(const Workload& workload) {
  const auto add = [&](const std::string& how, auto function) {
    benchmark::RegisterBenchmark((workload.name + "/" + how).c_str(), function)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  };
  for (const int lanes : {1, 4}) {
    const std::string suffix = "/lanes:" + std::to_string(lanes);
    add("plain_loop" + suffix,
        [&workload, lanes](benchmark::State& state) { plain_loop(state, workload, lanes); });
    for (const int threads : {1, 2}) {
      const std::string place = "/threads:" + std::to_string(threads) + suffix;
      add("flow_graph" + place, [&workload, threads, lanes](benchmark::State& state) {
        flow_graph(state, workload, threads, lanes);
      });
      add("parallel_pipeline" + place, [&workload, threads, lanes](benchmark::State& state) {
        parallel_pipeline(state, workload, threads, lanes);
      });
    }
  }
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const penstock::bench::Workload library{
      "library",
      "tokenize: {model: '" + penstock::bench::sample_model() + "', engine: library}",
      {8, 4}};
  const penstock::bench::Workload bytes{"bytes", "byte_tokens", {128, 4}};
  penstock::bench::register_workload(library);
  penstock::bench::register_workload(bytes);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
