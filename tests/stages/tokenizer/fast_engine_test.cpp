#include "stages/tokenizer/fast_engine.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <malloc.h>
#include <nlohmann/json.hpp>
#include <sentencepiece_processor.h>

#include "stages/tokenizer/text_kernels.h"
#include "tests/stages/built_transform.h"
#include "tests/stages/tokenizer/hard_texts.h"

namespace penstock {
namespace {

using testing::hard_texts;
using testing::read_file;
using testing::read_zstd_file;
using testing::sample_documents;
namespace fs = std::filesystem;

using Ids = std::vector<TokenId>;
constexpr std::size_t kCache = std::size_t{16} << 20;

std::vector<std::string> files_in(const fs::path& folder, const std::string& extension) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == extension) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The models of the repository.
std::vector<std::string> models() {
  std::vector<std::string> all = files_in(PENSTOCK_SOURCE_DIR "/tests/data/models", ".model");
  for (std::string& model : files_in(PENSTOCK_SOURCE_DIR "/data/sample", ".model")) {
    all.push_back(std::move(model));
  }
  return all;
}

SentencePieceModel parse_file(const std::string& path) {
  return parse_sentencepiece_model(read_file(path));
}

// The library by itself.
class Library final : public Encoder {
 public:
  explicit Library(const std::string& model) { EXPECT_TRUE(processor_.Load(model).ok()); }

  void encode(std::string_view text, Ids& ids) override {
    ++num_texts_;
    const std::vector<int> encoded = processor_.EncodeAsIds(text);
    ids.insert(ids.end(), encoded.begin(), encoded.end());
  }
  std::size_t num_texts() const { return num_texts_; }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  std::size_t num_texts_ = 0;
};

// Stands for the library where it must not be asked.
class NoLibrary final : public Encoder {
 public:
  void encode(std::string_view, Ids&) override {
    throw std::logic_error("the library was asked for a text that the engine can encode");
  }
};

std::vector<Ids> encode_all(Encoder& encoder, const std::vector<std::string>& texts) {
  std::vector<Ids> all;
  for (const std::string& text : texts) {
    encoder.encode(text, all.emplace_back());
  }
  return all;
}

void expect_equal(const std::vector<std::string>& texts,
                  const std::vector<Ids>& found,
                  const std::vector<Ids>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    ASSERT_EQ(found[i], expected[i]) << "text " << i << ": " << texts[i];
  }
}

// With caches that hold nothing, little and everything.
void expect_library_ids(const std::string& path,
                        const std::vector<std::string>& texts,
                        const std::vector<std::string>& levels = simd_levels()) {
  SCOPED_TRACE(path);
  const SentencePieceModel model = parse_file(path);
  if (!make_fast_engine(model).engine) {
    return;
  }
  Library library(path);
  const std::vector<Ids> expected = encode_all(library, texts);
  for (const std::string& level : levels) {
    SCOPED_TRACE(level);
    const FastEngineResult fast = make_fast_engine(model, level);
    for (const std::size_t cache_bytes : {std::size_t{0}, std::size_t{4000}, kCache}) {
      const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), cache_bytes);
      expect_equal(texts, encode_all(*encoder, texts), expected);
      expect_equal(texts, encode_all(*encoder, texts), expected);
    }
  }
}

class FastEngineTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FastEngineTest, GivesTheLibrarysIdsForTheSample) {
  expect_library_ids(GetParam(), sample_documents(60));
}

TEST_P(FastEngineTest, GivesTheLibrarysIdsForHardTexts) {
  expect_library_ids(GetParam(), hard_texts(parse_file(GetParam()), 2000));
}

// Far into a document, the scores of a Unigram model are rounded to much.
TEST_P(FastEngineTest, GivesTheLibrarysIdsForALongDocument) {
  const SentencePieceModel model = parse_file(GetParam());
  const FastEngineResult fast = make_fast_engine(model);
  if (model.type != SentencePieceType::kUnigram || !fast.engine) {
    GTEST_SKIP() << "not a Unigram model, or refused: " << fast.refusal;
  }
  std::string document;
  for (const std::string& text : sample_documents(2000)) {
    document += text + '\n';
  }
  const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), kCache);
  Library library(GetParam());
  const std::vector<std::string> texts = {document + document};
  expect_equal(texts, encode_all(*encoder, texts), encode_all(library, texts));
}

TEST_P(FastEngineTest, LeavesTextsThatAreNotUtf8ToTheLibrary) {
  const FastEngineResult fast = make_fast_engine(parse_file(GetParam()));
  if (!fast.engine) {
    GTEST_SKIP() << fast.refusal;
  }
  const std::vector<std::string> texts = {
      "a\xFF", "\xC3", "ab\xE2\x96", "\x80 b", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC0\x80"};
  auto library = std::make_unique<Library>(GetParam());
  const Library& asked = *library;
  const auto encoder = fast.engine->make_encoder(std::move(library), kCache);
  Library reference(GetParam());
  expect_equal(texts, encode_all(*encoder, texts), encode_all(reference, texts));
  EXPECT_EQ(asked.num_texts(), texts.size());
}

TEST_P(FastEngineTest, LeavesTheTextAsItIs) {
  const FastEngineResult fast = make_fast_engine(parse_file(GetParam()));
  if (!fast.engine) {
    GTEST_SKIP() << fast.refusal;
  }
  const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), kCache);
  for (const std::string& text : {std::string(" "), std::string("  \n "), std::string(" a  b ")}) {
    const std::string copy = text;
    Ids ids;
    encoder->encode(std::string_view(copy).substr(1), ids);
    encoder->encode(copy, ids);
    EXPECT_EQ(copy, text);
  }
}

TEST_P(FastEngineTest, AppendsToWhatIsThere) {
  const FastEngineResult fast = make_fast_engine(parse_file(GetParam()));
  if (!fast.engine) {
    GTEST_SKIP() << fast.refusal;
  }
  const TokenId unknown = parse_file(GetParam()).unknown_id;
  const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), kCache);
  Ids alone;
  encoder->encode("\xE1\x88\xB0 two words", alone);
  Ids ids = {unknown};
  encoder->encode("\xE1\x88\xB0 two words", ids);
  Ids expected = {unknown};
  expected.insert(expected.end(), alone.begin(), alone.end());
  EXPECT_EQ(ids, expected);
}

TEST_P(FastEngineTest, IsSharedBetweenThreads) {
  const FastEngineResult fast = make_fast_engine(parse_file(GetParam()));
  if (!fast.engine) {
    GTEST_SKIP() << fast.refusal;
  }
  const std::vector<std::string> texts = sample_documents(20);
  const auto first = fast.engine->make_encoder(std::make_unique<NoLibrary>(), kCache);
  const std::vector<Ids> expected = encode_all(*first, texts);
  std::vector<std::vector<Ids>> found(4);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (std::vector<Ids>& ids : found) {
    threads.emplace_back([&] {
      const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), 100'000);
      ids = encode_all(*encoder, texts);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::vector<Ids>& ids : found) {
    EXPECT_EQ(ids, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Models,
                         FastEngineTest,
                         ::testing::ValuesIn(models()),
                         [](const auto& model) { return fs::path(model.param).stem().string(); });

// In bytes; 0 under the sanitizers, which bring an allocator of their own.
std::size_t memory_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Of a text that no cut parts; only what every text of the size leaves is kept.
TEST(FastEngine, GivesBackWhatALongWordNeeded) {
  for (const char* path : {"data/sample/demo_bpe_8k_bytefallback.model",
                           "data/sample/demo_unigram_8k_nmt_nfkc.model"}) {
    SCOPED_TRACE(path);
    const std::string model = std::string(PENSTOCK_SOURCE_DIR "/") + path;
    const FastEngineResult fast = make_fast_engine(parse_file(model));
    ASSERT_NE(fast.engine, nullptr) << fast.refusal;
    const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), kCache);
    const std::string word(std::size_t{1} << 18U, 'e');
    const std::size_t before = memory_in_use();
    Ids ids;
    encoder->encode(word, ids);
    EXPECT_LT(memory_in_use(), before + ids.capacity() * sizeof(TokenId) + 8 * word.size());
    Ids expected;
    Library(model).encode(word, expected);
    EXPECT_TRUE(ids == expected);
  }
}

TEST(FastEngine, EncodesWordsThatAreNotLongWhileAnotherThreadHasALongOne) {
  for (const std::string& model : models()) {
    const FastEngineResult fast = make_fast_engine(parse_file(model));
    if (fast.engine) {
      const auto encoder = fast.engine->make_encoder(std::make_unique<NoLibrary>(), kCache);
      const std::lock_guard turn(fast.engine->long_words());
      Ids ids;
      encoder->encode(std::string(60'000, 'e') + " and a word", ids);
      EXPECT_FALSE(ids.empty());
    }
  }
}

// The whole corpus takes the library hours; every model gets some documents of every shard.
TEST(FastEngine, GivesTheLibrarysIdsForOtherModelsAndCorpora) {
  const char* const data = std::getenv("PENSTOCK_TEST_DATA");  // NOLINT(concurrency-mt-unsafe)
  if (data == nullptr) {
    GTEST_SKIP() << "needs models and corpora under the folder that PENSTOCK_TEST_DATA names";
  }
  constexpr std::size_t kBytesOfShard = 40'000;
  std::vector<std::string> documents;
  for (const std::string& shard : files_in(fs::path(data) / "corpus", ".zst")) {
    std::istringstream lines(read_zstd_file(shard));
    std::size_t bytes = 0;
    for (std::string line; bytes < kBytesOfShard && std::getline(lines, line);) {
      std::string text = nlohmann::json::parse(line).at("text").get<std::string>();
      if (text.size() <= kBytesOfShard) {
        bytes += text.size();
        documents.push_back(std::move(text));
      }
    }
  }
  for (const char* folder : {"models/production", "models/test", "models/trained"}) {
    for (const std::string& model : files_in(fs::path(data) / folder, ".model")) {
      std::vector<std::string> texts = hard_texts(parse_file(model), 600);
      texts.insert(texts.end(), documents.begin(), documents.end());
      expect_library_ids(model, texts, {simd_levels().front()});
    }
  }
}

// As many as there is time for, at every level.
TEST(FastEngine, GivesTheLibrarysIdsForAnyNumberOfHardTexts) {
  const char* const data = std::getenv("PENSTOCK_TEST_DATA");    // NOLINT(concurrency-mt-unsafe)
  const char* const count = std::getenv("PENSTOCK_HARD_TEXTS");  // NOLINT(concurrency-mt-unsafe)
  if (data == nullptr || count == nullptr) {
    GTEST_SKIP() << "needs the number of texts for each model in PENSTOCK_HARD_TEXTS and models "
                    "under the folder that PENSTOCK_TEST_DATA names";
  }
  for (const char* folder : {"models/production", "models/test", "models/trained"}) {
    for (const std::string& model : files_in(fs::path(data) / folder, ".model")) {
      expect_library_ids(model, hard_texts(parse_file(model), std::stoul(count)));
    }
  }
}

}  // namespace
}  // namespace penstock
