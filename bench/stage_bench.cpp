// What each stage costs by itself, on one core, and what the whole chain makes of it. See
// bench/README.md.
#include <cstdint>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <simdjson.h>
#include <zstd.h>

#include "bench/allocation_count.h"
#include "bench/bench_corpus.h"
#include "bench/bench_parts.h"
#include "pipeline/pipeline.h"
#include "stages/decompressor.h"

namespace penstock::bench {
namespace {

constexpr const char* kCheapTokenizer = "byte_tokens: {bytes_per_token: 4}";
constexpr std::size_t kStepBytes = std::size_t{128} << 10;

// Processor time of this thread, in seconds: on a shared machine it says more than the clock.
double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Adds up the processor time and the allocations of stretches of this thread's work.
class Meter {
 public:
  template <typename Work>
  auto measure(const Work& work) {
    const AllocationCount before = AllocationCount::now();
    const double begin = thread_seconds();
    auto result = work();
    seconds_ += thread_seconds() - begin;
    allocations_ += AllocationCount::now().calls - before.calls;
    return result;
  }

  double take_seconds() { return std::exchange(seconds_, 0); }
  std::int64_t allocations() const { return allocations_; }

 private:
  double seconds_ = 0;
  std::int64_t allocations_ = 0;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

// What goes in: shards as they are stored, and the chunks and tokens that come of them.
struct Workload {
  std::vector<std::string> paths;
  std::string tokenizer;  // the stage, in YAML
  std::vector<std::string> stored;
  std::vector<Chunk> chunks;  // of bytes
  std::vector<TokenChunk> tokens;
  std::int64_t text_bytes = 0;

  Workload(std::vector<std::string> shards, std::string stage)
      : paths(std::move(shards)), tokenizer(std::move(stage)) {
    const StageRegistry registry = bench_registry();
    LooseParts parts(bench_config(paths, tokenizer, 1, 4), registry);
    while (std::optional<Chunk> chunk = parts.next()) {
      chunks.push_back(std::move(*chunk));
      Chunk worked = copy_of(chunks.back());
      worked = parts.stages(0)[0]->process_chunk(std::move(worked));
      for (const Document& document : std::get<DocumentChunk>(worked).documents) {
        text_bytes += std::ssize(document.text);
      }
      tokens.push_back(std::get<TokenChunk>(parts.stages(0)[1]->process_chunk(std::move(worked))));
    }
    for (const std::string& path : paths) {
      stored.push_back(read_file(path));
    }
  }
};

void report(benchmark::State& state, const Workload& workload) {
  state.counters["text_MB_per_s"] =
      benchmark::Counter(static_cast<double>(workload.text_bytes) * 1e-6,
                         benchmark::Counter::kIsIterationInvariantRate);
}

void report(benchmark::State& state, const Workload& workload, const Meter& meter) {
  report(state, workload);
  state.counters["allocations_per_chunk"] =
      static_cast<double>(meter.allocations()) /
      (static_cast<double>(state.iterations()) * static_cast<double>(workload.chunks.size()));
}

// libzstd into one buffer: what no reader can be faster than.
void zstd_alone(benchmark::State& state, const Workload& workload) {
  const std::unique_ptr<ZSTD_DCtx, void (*)(ZSTD_DCtx*)> context(
      ZSTD_createDCtx(), [](ZSTD_DCtx* freed) { ZSTD_freeDCtx(freed); });
  std::vector<char> buffer(static_cast<std::size_t>(state.range(0)) << 10);
  for (auto _ : state) {
    const double begin = thread_seconds();
    for (const std::string& shard : workload.stored) {
      ZSTD_inBuffer in{shard.data(), shard.size(), 0};
      while (in.pos < in.size) {
        ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
        if (ZSTD_isError(ZSTD_decompressStream(context.get(), &out, &in)) != 0) {
          throw std::runtime_error("a shard is damaged");
        }
      }
    }
    state.SetIterationTime(thread_seconds() - begin);
  }
  report(state, workload);
}

void decompress(benchmark::State& state, const Workload& workload) {
  std::vector<char> buffer(kStepBytes);
  for (auto _ : state) {
    const double begin = thread_seconds();
    for (const std::string& shard : workload.stored) {
      const auto decompressor = make_decompressor(shard, std::int64_t{128} << 20);
      std::string_view rest = shard;
      Decompressor::Step step{1, 0};
      while (step.consumed + step.produced > 0) {
        step = decompressor->step(rest.substr(0, kStepBytes), buffer);
        rest.remove_prefix(step.consumed);
      }
      decompressor->finish();
    }
    state.SetIterationTime(thread_seconds() - begin);
  }
  report(state, workload);
}

// Reads, decompresses and cuts.
void read(benchmark::State& state, const Workload& workload) {
  const StageRegistry registry = bench_registry();
  const std::string size = "read.chunk_size=" + std::to_string(state.range(0)) + "KiB";
  const PipelineConfig config = bench_config(workload.paths, workload.tokenizer, 1, 4, {size});
  Meter meter;
  for (auto _ : state) {
    LooseParts parts(config, registry);
    while (meter.measure([&] { return parts.next(); })) {
    }
    state.SetIterationTime(meter.take_seconds());
  }
  report(state, workload, meter);
}

void parse(benchmark::State& state, const Workload& workload) {
  const StageRegistry registry = bench_registry();
  LooseParts parts(bench_config(workload.paths, workload.tokenizer, 1, 4), registry);
  Stage& stage = *parts.stages(0)[0];
  Meter meter;
  for (auto _ : state) {
    SpareMemory spare;
    for (const Chunk& chunk : workload.chunks) {
      Chunk copy = copy_of(chunk);
      info(copy).spare = std::move(spare);
      Chunk parsed = meter.measure([&] { return stage.process_chunk(std::move(copy)); });
      spare = std::move(info(parsed).spare);
      release(std::get<DocumentChunk>(parsed), spare);
    }
    state.SetIterationTime(meter.take_seconds());
  }
  report(state, workload, meter);
}

// simdjson's On-Demand parser on the same copies, a record at a time: the field looked up and
// unescaped, nothing else looked at.
void simdjson_alone(benchmark::State& state, const Workload& workload) {
  simdjson::ondemand::parser parser;
  Meter meter;
  for (auto _ : state) {
    for (const Chunk& chunk : workload.chunks) {
      const auto copy = std::get<ByteChunk>(copy_of(chunk));
      meter.measure([&] {
        std::string_view rest = copy.bytes.view();
        std::size_t size = 0;
        while (!rest.empty()) {
          const std::size_t length = std::min(rest.find('\n'), rest.size());
          auto record = parser.iterate(rest.data(), length, rest.size() + ByteBuffer::kPadding);
          size += std::string_view(record["text"].get_string()).size();
          rest.remove_prefix(std::min(length + 1, rest.size()));
        }
        return size;
      });
    }
    state.SetIterationTime(meter.take_seconds());
  }
  report(state, workload, meter);
}

void pack(benchmark::State& state, const Workload& workload) {
  const StageRegistry registry = bench_registry();
  LooseParts parts(bench_config(workload.paths, workload.tokenizer, 1, 4), registry);
  Meter meter;
  for (auto _ : state) {
    for (const TokenChunk& chunk : workload.tokens) {
      Chunk copy(chunk);
      meter.measure([&] {
        parts.pack(std::move(copy));
        return 0;
      });
    }
    state.SetIterationTime(meter.take_seconds());
  }
  report(state, workload, meter);
}

// The tokenizer alone.
void tokenize(benchmark::State& state, const Workload& workload) {
  const StageRegistry registry = bench_registry();
  LooseParts parts(bench_config(workload.paths, workload.tokenizer, 1, 4), registry);
  Meter meter;
  for (auto _ : state) {
    SpareMemory spare;
    for (const Chunk& chunk : workload.chunks) {
      Chunk copy = copy_of(chunk);
      info(copy).spare = std::move(spare);
      Chunk parsed = parts.stages(0)[0]->process_chunk(std::move(copy));
      Chunk tokens =
          meter.measure([&] { return parts.stages(0)[1]->process_chunk(std::move(parsed)); });
      spare = std::move(info(tokens).spare);
      release(std::get<TokenChunk>(tokens), spare);
    }
    state.SetIterationTime(meter.take_seconds());
  }
  report(state, workload, meter);
}

// Everything in a plain loop.
void plain_chain(benchmark::State& state, const Workload& workload) {
  const StageRegistry registry = bench_registry();
  const std::string size = "read.chunk_size=" + std::to_string(state.range(0)) + "KiB";
  const PipelineConfig config = bench_config(workload.paths, workload.tokenizer, 1, 4, {size});
  Meter meter;
  for (auto _ : state) {
    LooseParts parts(config, registry);
    meter.measure([&] {
      while (std::optional<Chunk> chunk = parts.next()) {
        parts.pack(parts.transform(std::move(*chunk), 0));
      }
      return parts.finish();
    });
    state.SetIterationTime(meter.take_seconds());
  }
  report(state, workload, meter);
}

// The same in the flow graph, by the clock.
void graph_chain(benchmark::State& state, const Workload& workload) {
  const StageRegistry registry = bench_registry();
  const auto threads = static_cast<int>(state.range(0));
  const std::string size = "read.chunk_size=" + std::to_string(state.range(1)) + "KiB";
  const PipelineConfig config =
      bench_config(workload.paths, workload.tokenizer, threads, 4, {size});
  const AllocationCount before = AllocationCount::now();
  for (auto _ : state) {
    benchmark::DoNotOptimize(Pipeline(config, registry).run().tokens.out);
  }
  report(state, workload);
  state.counters["allocations_per_chunk"] =
      static_cast<double>(AllocationCount::now().calls - before.calls) /
      (static_cast<double>(state.iterations()) * static_cast<double>(workload.chunks.size()));
}

void register_all(const Workload& workload) {
  using Function = void (*)(benchmark::State&, const Workload&);
  const auto add = [&](const char* name, Function function) {
    return benchmark::RegisterBenchmark(
               name, [&workload, function](benchmark::State& state) { function(state, workload); })
        ->Unit(benchmark::kMillisecond);
  };
  add("zstd_alone", zstd_alone)
      ->ArgName("KiB")
      ->Arg(64)
      ->Arg(128)
      ->Arg(256)
      ->Arg(512)
      ->UseManualTime();
  add("decompress", decompress)->UseManualTime();
  add("read", read)->ArgName("chunk_KiB")->Arg(64)->Arg(128)->Arg(256)->Arg(512)->UseManualTime();
  add("simdjson_alone", simdjson_alone)->UseManualTime();
  add("parse", parse)->UseManualTime();
  add("tokenize", tokenize)->UseManualTime();
  add("pack", pack)->UseManualTime();
  add("plain_chain", plain_chain)
      ->ArgName("chunk_KiB")
      ->Arg(64)
      ->Arg(128)
      ->Arg(256)
      ->Arg(512)
      ->UseManualTime();
  add("graph_chain", graph_chain)
      ->ArgNames({"threads", "chunk_KiB"})
      ->ArgsProduct({{1, 2}, {64, 128, 256, 512}})
      ->UseRealTime();
}

}  // namespace
}  // namespace penstock::bench

// Takes Google Benchmark's options, then --tokenizer=STAGE (YAML; otherwise a token for every four
// bytes), then shards; without any, the sample is repeated to 64 MB.
int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv);
    std::vector<std::string> paths(argv + 1, argv + argc);
    std::string tokenizer = penstock::bench::kCheapTokenizer;
    constexpr std::string_view kOption = "--tokenizer=";
    if (!paths.empty() && paths.front().starts_with(kOption)) {
      tokenizer = paths.front().substr(kOption.size());
      paths.erase(paths.begin());
    }
    std::optional<penstock::bench::BenchCorpus> sample;
    if (paths.empty()) {
      sample.emplace(64, 4);
      paths = sample->paths();
    }
    const penstock::bench::Workload workload(std::move(paths), std::move(tokenizer));
    penstock::bench::register_all(workload);
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception& error) {
    std::cerr << "stage_bench: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
