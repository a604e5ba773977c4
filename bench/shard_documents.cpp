#include "bench/shard_documents.h"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <simdjson.h>

#include "stages/decompressor.h"

namespace penstock::bench {
namespace {

std::string decompress_shard(const std::string& path) try {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path);
  }
  const std::string compressed{std::istreambuf_iterator<char>(file), {}};
  const auto decompressor = make_decompressor(compressed, std::int64_t{128} << 20);
  std::string text;
  std::vector<char> piece(std::size_t{128} << 10);
  std::string_view rest = compressed;
  Decompressor::Step step{1, 0};
  while (step.consumed + step.produced > 0) {
    step = decompressor->step(rest, piece);
    rest.remove_prefix(step.consumed);
    text.append(piece.data(), step.produced);
  }
  decompressor->finish();
  return text;
} catch (const ShardError& error) {
  throw std::runtime_error(path + ": " + error.what());
}

}  // namespace

std::vector<std::string> shard_documents(const std::vector<std::string>& shards,
                                         std::size_t max_bytes) {
  std::vector<std::string> documents;
  std::size_t bytes = 0;
  simdjson::dom::parser parser;
  for (const std::string& shard : shards) {
    const std::string records = decompress_shard(shard);
    for (std::size_t begin = 0; begin < records.size() && bytes < max_bytes;) {
      const std::size_t end = std::min(records.find('\n', begin), records.size());
      if (end > begin) {
        const std::string_view text =
            parser.parse(records.data() + begin, end - begin)["text"].get_string();
        bytes += text.size();
        documents.emplace_back(text);
      }
      begin = end + 1;
    }
  }
  return documents;
}

}  // namespace penstock::bench
