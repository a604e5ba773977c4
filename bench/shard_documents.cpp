#include "bench/shard_documents.h"

#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <simdjson.h>
#include <zstd.h>

namespace penstock::bench {
namespace {

std::string decompressed(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error("cannot open " + path);
  }
  const std::string compressed{std::istreambuf_iterator<char>(file), {}};
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx);
  std::string text;
  std::string piece(ZSTD_DStreamOutSize(), '\0');
  while (in.pos < in.size) {
    ZSTD_outBuffer out{piece.data(), piece.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(result) != 0) {
      throw std::runtime_error(path + ": " + ZSTD_getErrorName(result));
    }
    text.append(piece, 0, out.pos);
  }
  return text;
}

}  // namespace

std::vector<std::string> shard_documents(const std::vector<std::string>& shards,
                                         std::size_t max_bytes) {
  std::vector<std::string> documents;
  std::size_t bytes = 0;
  simdjson::dom::parser parser;
  for (const std::string& shard : shards) {
    const std::string records = decompressed(shard);
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
