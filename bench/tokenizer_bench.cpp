// How fast one thread encodes the documents of some shards, and whether the fast engine's ids are
// those of the SentencePiece library. See bench/README.md.
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <benchmark/benchmark.h>

#include "bench/shard_documents.h"
#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/model_file.h"
#include "stages/tokenizer/sentencepiece_tokenizer.h"

namespace penstock::bench {
namespace {

struct Arguments {
  std::string model;
  std::vector<std::string> shards;
  std::string engine = "fast";
  std::string simd_level;
  double cache_mib = 16;
  double max_megabytes = 1e6;
  bool check = false;
};

// What is measured: encoders of one model, and documents, of which the first half may warm a cache.
class Workload {
 public:
  explicit Workload(const Arguments& arguments)
      : documents_(shard_documents(arguments.shards,
                                   static_cast<std::size_t>(arguments.max_megabytes * 1e6))),
        cache_bytes_(static_cast<std::size_t>(arguments.cache_mib * 1048576)),
        library_(load_sentencepiece(arguments.model, {.engine = EngineChoice::kLibrary})) {
    for (const std::string& document : documents_) {
      bytes_ += document.size();
    }
    for (std::size_t bytes = 0; bytes < bytes_ / 2; ++middle_) {
      bytes += documents_[middle_].size();
    }
    if (arguments.engine == "fast") {
      FastEngineResult fast = make_fast_engine(
          parse_sentencepiece_model(read_model_file(arguments.model)), arguments.simd_level);
      if (!fast.engine) {
        throw std::runtime_error("no fast engine: " + fast.refusal);
      }
      fast_ = std::move(fast.engine);
    }
  }

  std::unique_ptr<Encoder> make_encoder() const {
    return fast_ ? fast_->make_encoder(library_->make_encoder(), cache_bytes_)
                 : library_->make_encoder();
  }
  std::unique_ptr<Encoder> make_library_encoder() const { return library_->make_encoder(); }

  const std::vector<std::string>& documents() const { return documents_; }
  std::size_t middle() const { return middle_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::vector<std::string> documents_;
  std::size_t middle_ = 0;
  std::size_t bytes_ = 0;
  std::size_t cache_bytes_;
  std::shared_ptr<const Tokenizer> library_;
  std::unique_ptr<const FastEngine> fast_;
};

struct Amount {
  std::int64_t bytes = 0;
  std::int64_t tokens = 0;
};

Amount encode(const Workload& workload, Encoder& encoder, std::size_t begin, std::size_t end) {
  // As many ids as a chunk of a pipeline has, so that writing them costs what it costs there.
  constexpr std::size_t kChunkIds = std::size_t{1} << 16;
  Amount amount;
  std::vector<TokenId> ids;
  ids.reserve(2 * kChunkIds);
  for (std::size_t i = begin; i < end; ++i) {
    encoder.encode(workload.documents()[i], ids);
    amount.bytes += std::ssize(workload.documents()[i]);
    if (ids.size() > kChunkIds || i + 1 == end) {
      amount.tokens += std::ssize(ids);
      ids.clear();
    }
  }
  return amount;
}

// What is done with a new encoder before the time is taken.
enum class Before { kNothing, kFirstHalf, kBothHalves };

void measure(benchmark::State& state, const Workload& workload, Before before) {
  Amount amount;
  const bool first_half = before == Before::kNothing;
  const std::size_t begin = first_half ? 0 : workload.middle();
  const std::size_t end = first_half ? workload.middle() : workload.documents().size();
  for (auto _ : state) {
    state.PauseTiming();
    const std::unique_ptr<Encoder> encoder = workload.make_encoder();
    if (!first_half) {
      encode(workload, *encoder, 0, before == Before::kBothHalves ? end : begin);
    }
    state.ResumeTiming();
    const Amount more = encode(workload, *encoder, begin, end);
    amount.bytes += more.bytes;
    amount.tokens += more.tokens;
  }
  state.counters["MB/s"] =
      benchmark::Counter(static_cast<double>(amount.bytes) * 1e-6, benchmark::Counter::kIsRate);
  state.counters["Mtok/s"] =
      benchmark::Counter(static_cast<double>(amount.tokens) * 1e-6, benchmark::Counter::kIsRate);
}

// The number of documents of which the two engines give different ids.
std::size_t count_differences(const Workload& workload) {
  const std::unique_ptr<Encoder> encoder = workload.make_encoder();
  const std::unique_ptr<Encoder> library = workload.make_library_encoder();
  std::size_t differences = 0;
  std::vector<TokenId> ids;
  std::vector<TokenId> expected;
  for (const std::string& document : workload.documents()) {
    ids.clear();
    expected.clear();
    encoder->encode(document, ids);
    library->encode(document, expected);
    differences += ids == expected ? 0 : 1;
  }
  return differences;
}

int run(const Arguments& arguments) {
  const Workload workload(arguments);
  std::cout << workload.documents().size() << " documents, "
            << static_cast<double>(workload.bytes()) * 1e-6 << " MB\n";
  if (arguments.check) {
    const std::size_t differences = count_differences(workload);
    std::cout << differences << " documents have other ids than the library's\n";
    return differences == 0 ? 0 : 1;
  }
  const auto add = [&workload](const char* name, Before before) {
    benchmark::RegisterBenchmark(name, [&workload, before](benchmark::State& state) {
      measure(state, workload, before);
    })->Unit(benchmark::kMillisecond);
  };
  add("cold", Before::kNothing);
  add("steady", Before::kFirstHalf);
  add("warm", Before::kBothHalves);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  penstock::bench::Arguments arguments;
  CLI::App app(
      "Encodes documents on one thread: cold (nothing seen before), steady (the second half "
      "of the documents, after the first) and warm (that half again).");
  app.add_option("MODEL", arguments.model, "SentencePiece model")->required();
  app.add_option("SHARD", arguments.shards, ".jsonl.zst files")->required();
  app.add_option("--engine", arguments.engine)->check(CLI::IsMember({"fast", "library"}));
  app.add_option("--simd", arguments.simd_level, "SIMD level, as inspect-model lists them");
  app.add_option("--cache", arguments.cache_mib, "MiB of the word tables");
  app.add_option("--max-megabytes", arguments.max_megabytes, "of text that is taken");
  app.add_flag("--check", arguments.check, "Compare the ids with the library's instead");
  CLI11_PARSE(app, argc, argv);
  try {
    return penstock::bench::run(arguments);
  } catch (const std::exception& error) {
    std::cerr << "tokenizer_bench: " << error.what() << '\n';
    return 1;
  }
}
