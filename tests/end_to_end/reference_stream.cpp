#include "tests/end_to_end/reference_stream.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>

#include <nlohmann/json.hpp>
#include <sentencepiece_processor.h>
#include <zstd.h>

namespace penstock::testing {
namespace {

const std::filesystem::path kRoot = PENSTOCK_SOURCE_DIR;

std::vector<std::string> files(const std::filesystem::path& folder, const std::string& ending) {
  std::vector<std::string> found;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().string().ends_with(ending)) {
        found.push_back(entry.path().string());
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::filesystem::path test_data() {
  const char* folder = std::getenv("PENSTOCK_TEST_DATA");
  return folder == nullptr ? "" : folder;
}

std::string decompress(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string compressed{std::istreambuf_iterator<char>(file), {}};
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(),
                                                                          &ZSTD_freeDStream);
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  std::string text;
  std::string block(1 << 20, '\0');
  std::size_t left = 1;
  while (in.pos < in.size) {
    ZSTD_outBuffer out{block.data(), block.size(), 0};
    left = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(left) != 0) {
      break;
    }
    text.append(block, 0, out.pos);
  }
  if (left != 0) {
    throw std::runtime_error("cannot decompress " + path);
  }
  return text;
}

}  // namespace

std::vector<std::string> shard_texts(const std::string& path) {
  const std::string text = decompress(path);
  std::vector<std::string> texts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    texts.push_back(nlohmann::json::parse(line).at("text"));
  }
  return texts;
}

std::vector<TokenId> reference_ids(const std::vector<std::string>& shards,
                                   const std::string& model) {
  sentencepiece::SentencePieceProcessor processor;
  if (!processor.Load(model).ok()) {
    throw std::runtime_error("cannot load " + model);
  }
  std::vector<TokenId> ids;
  for (const std::string& shard : shards) {
    for (const std::string& text : shard_texts(shard)) {
      for (const int id : processor.EncodeAsIds(text)) {
        ids.push_back(static_cast<TokenId>(id));
      }
    }
  }
  return ids;
}

std::vector<std::string> sample_shards() {
  return files(kRoot / "data/sample", ".jsonl.zst");
}

std::vector<std::string> corpus_shards() {
  return files(test_data() / "corpus", ".jsonl.zst");
}

std::vector<std::string> models() {
  std::vector<std::string> all = files(kRoot / "data/sample", ".model");
  for (const auto& folder : {kRoot / "tests/data/models",
                             test_data() / "models/production",
                             test_data() / "models/test"}) {
    const std::vector<std::string> more = files(folder, ".model");
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace penstock::testing
