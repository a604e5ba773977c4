#include "bench/bench_corpus.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <zstd.h>

namespace penstock::bench {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path.string());
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string decompress(const std::string& compressed) {
  std::string text(ZSTD_getFrameContentSize(compressed.data(), compressed.size()), '\0');
  const std::size_t size =
      ZSTD_decompress(text.data(), text.size(), compressed.data(), compressed.size());
  if (ZSTD_isError(size) != 0) {
    throw std::runtime_error(ZSTD_getErrorName(size));
  }
  return text;
}

std::string compress(const std::string& text) {
  std::string compressed(ZSTD_compressBound(text.size()), '\0');
  compressed.resize(
      ZSTD_compress(compressed.data(), compressed.size(), text.data(), text.size(), 3));
  return compressed;
}

const std::filesystem::path kSample = std::filesystem::path(PENSTOCK_SOURCE_DIR) / "data/sample";

}  // namespace

BenchCorpus::BenchCorpus(int megabytes, int shards) {
  std::string pattern = (std::filesystem::temp_directory_path() / "penstock_bench_XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("cannot make a temporary folder");
  }
  folder_ = pattern;
  const std::string sample = decompress(read_file(kSample / "sample_00.jsonl.zst")) +
                             decompress(read_file(kSample / "sample_01.jsonl.zst"));
  const auto shard_bytes =
      static_cast<std::size_t>(megabytes) * 1'000'000 / static_cast<std::size_t>(shards);
  std::string text;
  while (text.size() < shard_bytes) {
    text += sample;
  }
  const std::string compressed = compress(text);
  for (int shard = 0; shard < shards; ++shard) {
    paths_.push_back(folder_ + "/shard_" + std::to_string(shard) + ".jsonl.zst");
    std::ofstream file(paths_.back(), std::ios::binary);
    file.write(compressed.data(), std::ssize(compressed));
    raw_bytes_ += std::ssize(text);
  }
}

BenchCorpus::~BenchCorpus() {
  std::filesystem::remove_all(folder_);
}

std::string sample_model() {
  return (kSample / "demo_bpe_8k_bytefallback.model").string();
}

}  // namespace penstock::bench
