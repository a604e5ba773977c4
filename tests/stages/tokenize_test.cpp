#include "stages/tokenize.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sentencepiece_processor.h>
#include <unistd.h>

#include "pipeline/errors.h"
#include "tests/stages/built_transform.h"
#include "tests/stages/tokenizer/charsmap_writer.h"
#include "tests/stages/tokenizer/model_writer.h"

namespace penstock {
namespace {

using ::testing::AllOf;
using testing::BuiltTransform;
using testing::CharsmapWriter;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNormal;
using testing::kUnknown;
using testing::kUserDefined;
using testing::ModelWriter;
using ::testing::Not;
using testing::PieceTypeNumber;
using testing::read_file;
using testing::read_zstd_file;
using ::testing::SizeIs;

using Options = std::map<std::string, OptionValue>;
using Ids = std::vector<TokenId>;

// A path below the root of the source tree.
std::string in_tree(const std::string& path) {
  return PENSTOCK_SOURCE_DIR "/" + path;
}

std::string demo_model() {
  return in_tree("data/sample/demo_bpe_8k_bytefallback.model");
}

// Has pad 0 and eos 1.
std::string model_without_bos() {
  return in_tree("tests/data/models/unigram_1k_ids.model");
}

std::vector<std::filesystem::path> models_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> models;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".model") {
      models.push_back(entry.path());
    }
  }
  std::sort(models.begin(), models.end());
  return models;
}

// About `count` texts, evenly taken from a sample shard.
std::vector<std::string> sample_texts(const std::string& shard, std::size_t count) {
  const std::string bytes = read_zstd_file(in_tree("data/sample/" + shard));
  const auto lines = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
  const std::size_t step = std::max<std::size_t>(1, lines / count);
  std::vector<std::string> texts;
  std::istringstream stream(bytes);
  std::size_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    if (number++ % step == 0) {
      texts.push_back(nlohmann::json::parse(line).at("text").get<std::string>());
    }
  }
  return texts;
}

DocumentChunk make_documents(const std::vector<std::string>& texts) {
  DocumentChunk chunk;
  chunk.position.shard = std::make_shared<const std::string>("shard.jsonl");
  chunk.num_records = std::ssize(texts);
  std::int64_t byte_offset = 0;
  for (const std::string& text : texts) {
    chunk.documents.push_back(
        {chunk.arena.store(text), std::ssize(chunk.documents) + 1, byte_offset});
    byte_offset += 100;
  }
  return chunk;
}

TokenChunk tokenize(const std::vector<std::string>& texts, const Options& options) {
  BuiltTransform stage(register_tokenize, "tokenize", options);
  return stage.process<TokenChunk>(make_documents(texts));
}

// The tokens of each document.
std::vector<Ids> by_document(const TokenChunk& chunk) {
  std::vector<Ids> documents;
  std::int64_t begin = 0;
  for (const TokenDocument& document : chunk.documents) {
    documents.emplace_back(chunk.ids.begin() + begin, chunk.ids.begin() + document.end);
    begin = document.end;
  }
  EXPECT_EQ(begin, std::ssize(chunk.ids));
  return documents;
}

// What the SentencePiece library makes of each text by itself.
std::vector<Ids> by_library(const std::filesystem::path& model,
                            const std::vector<std::string>& texts) {
  sentencepiece::SentencePieceProcessor processor;
  EXPECT_TRUE(processor.Load(model.string()).ok());
  std::vector<Ids> documents;
  for (const std::string& text : texts) {
    const std::vector<int> ids = processor.EncodeAsIds(text);
    documents.emplace_back(ids.begin(), ids.end());
  }
  return documents;
}

void expect_the_librarys_tokens(const std::vector<std::filesystem::path>& models) {
  std::vector<std::string> texts = sample_texts("sample_00.jsonl.zst", 50);
  for (std::string& text : sample_texts("sample_01.jsonl.zst", 50)) {
    texts.push_back(std::move(text));
  }
  ASSERT_THAT(models, Not(IsEmpty()));
  for (const std::filesystem::path& model : models) {
    SCOPED_TRACE(model);
    const TokenChunk chunk = tokenize(texts, {{"model", model.string()}});
    EXPECT_THAT(chunk.rejects, IsEmpty());
    EXPECT_TRUE(by_document(chunk) == by_library(model, texts));
  }
}

TEST(Tokenize, GivesTheLibrarysTokensForTheSampleModels) {
  expect_the_librarys_tokens(models_in(in_tree("data/sample")));
}

TEST(Tokenize, GivesTheLibrarysTokensForModelsOfEveryType) {
  expect_the_librarys_tokens(models_in(in_tree("tests/data/models")));
}

TEST(Tokenize, GivesTheLibrarysTokensForProductionModels) {
  const char* const data = std::getenv("PENSTOCK_TEST_DATA");  // NOLINT(concurrency-mt-unsafe)
  if (data == nullptr) {
    GTEST_SKIP() << "needs models under the folder that PENSTOCK_TEST_DATA names";
  }
  expect_the_librarys_tokens(models_in(std::filesystem::path(data) / "models/production"));
  expect_the_librarys_tokens(models_in(std::filesystem::path(data) / "models/test"));
}

TEST(Tokenize, GivesTheLibrarysTokensForTextsThatAreHardOnATokenizer) {
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::directory_iterator(in_tree("tests/data/bad"))) {
    if (entry.path().filename().string().starts_with("tok_")) {
      std::istringstream lines(read_zstd_file(entry.path()));
      for (std::string line; std::getline(lines, line);) {
        texts.push_back(nlohmann::json::parse(line).at("text").get<std::string>());
      }
    }
  }
  ASSERT_THAT(texts, SizeIs(Ge(100U)));
  for (const std::filesystem::path& model : models_in(in_tree("data/sample"))) {
    EXPECT_TRUE(by_document(tokenize(texts, {{"model", model.string()}})) ==
                by_library(model, texts))
        << model;
  }
}

TEST(Tokenize, AddsBosAndEosToEveryDocument) {
  sentencepiece::SentencePieceProcessor processor;
  ASSERT_TRUE(processor.Load(demo_model()).ok());
  const auto bos = static_cast<TokenId>(processor.bos_id());
  const auto eos = static_cast<TokenId>(processor.eos_id());
  const std::vector<std::string> texts = {"Hello world", "a", "  two  spaces "};
  for (const bool add_bos : {false, true}) {
    for (const bool add_eos : {false, true}) {
      std::vector<Ids> expected = by_library(demo_model(), texts);
      for (Ids& ids : expected) {
        if (add_bos) {
          ids.insert(ids.begin(), bos);
        }
        if (add_eos) {
          ids.push_back(eos);
        }
      }
      const TokenChunk chunk =
          tokenize(texts, {{"model", demo_model()}, {"add_bos", add_bos}, {"add_eos", add_eos}});
      EXPECT_EQ(by_document(chunk), expected);
    }
  }
}

TEST(Tokenize, KeepsDocumentsWithoutTokensWithoutAnyToken) {
  const std::string model = in_tree("data/sample/demo_unigram_8k_nmt_nfkc.model");
  const TokenChunk chunk = tokenize({"", "a", " \n\t ", "b", ""},
                                    {{"model", model}, {"add_bos", true}, {"add_eos", true}});

  const std::vector<Ids> documents = by_document(chunk);
  ASSERT_THAT(documents, SizeIs(5));
  EXPECT_THAT(documents[0], IsEmpty());
  EXPECT_THAT(documents[1], SizeIs(Ge(3U)));
  EXPECT_THAT(documents[2], IsEmpty());
  EXPECT_THAT(documents[3], SizeIs(Ge(3U)));
  EXPECT_THAT(documents[4], IsEmpty());
}

TEST(Tokenize, KeepsPositionsAndWhatTheChunkCarries) {
  DocumentChunk documents = make_documents({"one", "two"});
  documents.documents[0].record = 17;
  documents.documents[1].record = 19;
  documents.position.record = 16;
  documents.num_records = 4;
  documents.rejects.push_back({documents.position, "not valid JSON", "x", 1, "parse"});

  BuiltTransform stage(register_tokenize, "tokenize", {{"model", demo_model()}});
  const auto chunk = stage.process<TokenChunk>(std::move(documents));

  ASSERT_THAT(chunk.documents, SizeIs(2));
  EXPECT_EQ(chunk.documents[0].record, 17);
  EXPECT_EQ(chunk.documents[0].byte_offset, 0);
  EXPECT_EQ(chunk.documents[1].record, 19);
  EXPECT_EQ(chunk.documents[1].byte_offset, 100);
  EXPECT_EQ(chunk.position.record, 16);
  EXPECT_EQ(chunk.num_records, 4);
  EXPECT_THAT(chunk.rejects, SizeIs(1));
}

TEST(Tokenize, TakesAChunkWithoutDocuments) {
  const TokenChunk chunk = tokenize({}, {{"model", demo_model()}, {"add_eos", true}});
  EXPECT_THAT(chunk.ids, IsEmpty());
  EXPECT_THAT(chunk.documents, IsEmpty());
}

TEST(Tokenize, WastesLittleMemoryOnTextsOfManyAndOfFewTokens) {
  for (const std::string& word :
       {std::string("1"), std::string("the "), std::string("something ")}) {
    std::string text;
    while (text.size() < 20'000) {
      text += word;
    }
    const TokenChunk chunk = tokenize({text, text}, {{"model", demo_model()}});
    EXPECT_LE(chunk.ids.capacity(), chunk.ids.size() + chunk.ids.size() / 4) << word;
  }
}

// One instance a thread, all of one model and with the same texts.
void expect_library_ids_on_threads(const std::vector<std::string>& texts, std::size_t num_threads) {
  const std::vector<Ids> expected = by_library(demo_model(), texts);
  const BuiltTransform stage(register_tokenize, "tokenize", {{"model", demo_model()}});
  std::vector<std::vector<Ids>> found(num_threads);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (std::vector<Ids>& documents : found) {
    threads.emplace_back([&, instance = std::shared_ptr<Stage>(stage.make_instance())] {
      documents =
          by_document(std::get<TokenChunk>(instance->process_chunk(Chunk(make_documents(texts)))));
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::vector<Ids>& documents : found) {
    EXPECT_TRUE(documents == expected);
  }
}

TEST(Tokenize, SharesOneModelBetweenThreads) {
  expect_library_ids_on_threads(sample_texts("sample_00.jsonl.zst", 40), 4);
}

TEST(Tokenize, EncodesLongDocumentsOfSeveralThreads) {
  const std::vector<std::string> samples = sample_texts("sample_00.jsonl.zst", 20);
  std::string text;
  for (std::size_t i = 0; text.size() <= std::size_t{1} << 20; ++i) {
    text += samples[i % samples.size()] + "\n";
  }
  expect_library_ids_on_threads({"short", text, "again short"}, 2);
}

TEST(Tokenize, TellsThatItReadsTheModel) {
  const BuiltTransform stage(register_tokenize, "tokenize", {{"model", demo_model()}});
  EXPECT_TRUE(stage.files().is_input(demo_model()));
  EXPECT_FALSE(stage.files().is_input(model_without_bos()));
}

TEST(Tokenize, TellsTheStagesBehindItAboutTheModel) {
  sentencepiece::SentencePieceProcessor processor;
  ASSERT_TRUE(processor.Load(model_without_bos()).ok());
  const BuiltTransform stage(register_tokenize, "tokenize", {{"model", model_without_bos()}});

  EXPECT_EQ(stage.stream().vocabulary_size, processor.GetPieceSize());
  EXPECT_EQ(stage.stream().pad_id, TokenId{0});
  EXPECT_EQ(stage.stream().eos_id, TokenId{1});
  EXPECT_NE(stage.stream().decoder, nullptr);
}

TEST(Tokenize, NamesNoPaddingWhereTheModelHasNone) {
  const BuiltTransform stage(register_tokenize, "tokenize", {{"model", demo_model()}});
  EXPECT_EQ(stage.stream().pad_id, std::nullopt);
}

TEST(Tokenize, DecodesWhatItEncoded) {
  const std::string text =
      "The quick brown fox, 12 times;  two spaces\tand a tab\n{\"json\": [1.5]}";
  BuiltTransform stage(register_tokenize, "tokenize", {{"model", demo_model()}});
  const auto chunk = stage.process<TokenChunk>(make_documents({text}));
  EXPECT_EQ(stage.stream().decoder->decode(chunk.ids), text);
}

TEST(Tokenize, RefusesToDecodeIdsOutsideTheVocabulary) {
  const BuiltTransform stage(register_tokenize, "tokenize", {{"model", demo_model()}});
  EXPECT_THROW(stage.stream().decoder->decode({5, 4'000'000'000}), TokenizerError);
}

// Refuses one text.
class PickyEncoder final : public Encoder {
 public:
  void encode(std::string_view text, std::vector<TokenId>& ids) override {
    if (text == "bad") {
      throw TokenizerError("the reason");
    }
    ids.insert(ids.end(), text.begin(), text.end());
  }
};

class PickyTokenizer final : public Tokenizer {
 public:
  std::unique_ptr<Encoder> make_encoder() const override {
    return std::make_unique<PickyEncoder>();
  }
  std::string model() const override { return {}; }
  std::string engine() const override { return "picky"; }
  std::string decode(const std::vector<TokenId>& ids) const override {
    return {ids.begin(), ids.end()};
  }
  std::int64_t vocabulary_size() const override { return 256; }
  std::optional<TokenId> bos_id() const override { return std::nullopt; }
  std::optional<TokenId> eos_id() const override { return std::nullopt; }
  std::optional<TokenId> pad_id() const override { return std::nullopt; }
};

TEST(Tokenize, RejectsTheDocumentThatTheTokenizerRefuses) {
  Tokenize stage(std::make_shared<PickyTokenizer>(), {.bos_id = 1, .eos_id = 2});
  const TokenChunk chunk = stage.process(make_documents({"a", "bad", "b"}));

  EXPECT_THAT(chunk.ids, ElementsAre(1, 'a', 2, 1, 'b', 2));
  ASSERT_THAT(chunk.documents, SizeIs(2));
  EXPECT_EQ(chunk.documents[1].record, 3);
  ASSERT_THAT(chunk.rejects, SizeIs(1));
  EXPECT_EQ(chunk.rejects[0].reason, "the reason");
  EXPECT_EQ(chunk.rejects[0].raw, "bad");
  EXPECT_EQ(chunk.rejects[0].raw_bytes, 3);
  EXPECT_EQ(chunk.rejects[0].position.record, 2);
  EXPECT_EQ(chunk.rejects[0].position.byte_offset, 100);
  EXPECT_EQ(*chunk.rejects[0].position.shard, "shard.jsonl");
}

// A file that is gone when the test is over.
class TemporaryModel {
 public:
  explicit TemporaryModel(std::string_view bytes)
      : path_(std::filesystem::path(::testing::TempDir()) /
              ("penstock_tokenize_test_" + std::to_string(getpid()) + ".model")) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  ~TemporaryModel() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TemporaryModel(const TemporaryModel&) = delete;
  TemporaryModel& operator=(const TemporaryModel&) = delete;

  std::string path() const { return path_.string(); }

 private:
  const std::filesystem::path path_;
};

// The message of the ConfigError; nothing may come out on standard error.
std::string config_error(const Options& options) {
  std::string message;
  ::testing::internal::CaptureStderr();
  try {
    const BuiltTransform stage(register_tokenize, "tokenize", options);
  } catch (const ConfigError& error) {
    message = error.what();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  return message;
}

TEST(Tokenize, RefusesAModelThatTheRunWrites) {
  FileClaims files;
  files.add_output(demo_model());
  try {
    const BuiltTransform stage(register_tokenize, "tokenize", {{"model", demo_model()}}, files);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("option 'model' of stage 'tokenize': '" + demo_model() +
                          "' is also an output of this run"));
  }
}

TEST(Tokenize, NamesAMissingModel) {
  const std::string path = in_tree("tests/data/no_such.model");
  EXPECT_THAT(config_error({{"model", path}}),
              HasSubstr("cannot load '" + path + "': No such file or directory"));
}

TEST(Tokenize, NamesADirectoryGivenForAModel) {
  const std::string path = in_tree("tests/data/models");
  EXPECT_THAT(config_error({{"model", path}}),
              HasSubstr("cannot load '" + path + "': it is a directory"));
}

TEST(Tokenize, NamesADeviceGivenForAModel) {
  EXPECT_THAT(config_error({{"model", std::string("/dev/null")}}),
              HasSubstr("cannot load '/dev/null': it is not a regular file"));
}

TEST(Tokenize, NamesAnEmptyModel) {
  const TemporaryModel model("");
  EXPECT_THAT(config_error({{"model", model.path()}}),
              HasSubstr("cannot load '" + model.path() + "': the file is empty"));
}

TEST(Tokenize, NamesAFileThatIsNoModelOrADamagedOne) {
  const std::string whole = read_file(demo_model());
  for (const std::string& bytes : {std::string("{\"model\": \"json\"}\n"),
                                   std::string(1000, '\0'),
                                   read_file(in_tree("data/sample/sample_00.jsonl.zst")),
                                   whole.substr(0, whole.size() / 2),
                                   whole.substr(0, whole.size() - 1)}) {
    const TemporaryModel model(bytes);
    const std::string message = config_error({{"model", model.path()}});
    EXPECT_THAT(message,
                HasSubstr("cannot load '" + model.path() + "': it is not a SentencePiece model"));
    EXPECT_THAT(message, Not(HasSubstr(".cc")));
    EXPECT_THAT(message, Not(HasSubstr("exception")));
  }
}

// A Unigram model of a few letters.
ModelWriter small_model() {
  ModelWriter model;
  model.add_piece("<unk>", 0, kUnknown);
  model.add_piece("\xE2\x96\x81", -1, kNormal);
  model.add_piece("a", -1, kNormal);
  model.add_piece("ab", -1, kNormal);
  return model;
}

// Says the same whichever engine is asked for.
void expect_no_engine(const std::string& bytes, const std::string& reason) {
  const TemporaryModel model(bytes);
  for (const char* engine : {"auto", "fast", "library"}) {
    EXPECT_THAT(config_error({{"model", model.path()}, {"engine", std::string(engine)}}),
                HasSubstr("cannot load '" + model.path() + "': " + reason));
  }
}

// `auto` takes the library, and `fast` says why it cannot be had.
void expect_library_alone(const std::string& bytes, const std::string& reason) {
  const TemporaryModel model(bytes);
  EXPECT_THAT(config_error({{"model", model.path()}, {"engine", std::string("fast")}}),
              AllOf(HasSubstr("'" + model.path() + "'"), HasSubstr(reason)));
  const std::vector<std::string> texts = {"ab", "aab ba"};
  EXPECT_EQ(by_document(tokenize(texts, {{"model", model.path()}})),
            by_library(model.path(), texts));
}

TEST(Tokenize, TakesTheLibraryForAModelOfTypesThatItDoesNotKnow) {
  ModelWriter model = small_model();
  EXPECT_THAT(config_error({{"model", demo_model()}, {"engine", std::string("fast")}}), IsEmpty());
  expect_library_alone(model.finish({.type = 9}), "it has the unknown type 9");
  model.add_piece("b", -1, static_cast<PieceTypeNumber>(7));
  expect_library_alone(model.finish({}), "a piece has the unknown type 7");
}

TEST(Tokenize, TakesTheLibraryForACharsmapThatOnlyTheLibraryCanTake) {
  CharsmapWriter writer(CharsmapWriter::Rules{{"b", "a"}});
  writer.units().resize(writer.units().size() + 1);
  expect_library_alone(small_model().finish({.charsmap = writer.bytes()}), "no multiple of 1,024");
}

TEST(Tokenize, RefusesACharsmapThatTheLibraryWouldReadBeyond) {
  CharsmapWriter writer(CharsmapWriter::Rules{{"b", "a"}});
  writer.units().resize(CharsmapWriter::kBlock);
  expect_no_engine(small_model().finish({.charsmap = writer.bytes()}),
                   "its precompiled_charsmap is damaged: a rule leads to unit 511 of 256");
  expect_no_engine(small_model().finish({.denormalizer_charsmap = writer.bytes()}),
                   "its precompiled_charsmap is damaged: a rule leads to unit 511 of 256");
}

// The library has room for 32 rules and 64 symbols that a text begins with, and takes more.
TEST(Tokenize, RefusesMoreNestedRulesAndSymbolsThanTheLibraryHasRoomFor) {
  CharsmapWriter::Rules rules;
  for (std::size_t size = 1; size <= 33; ++size) {
    rules[std::string(size, 'a')] = "b";
  }
  expect_no_engine(small_model().finish({.charsmap = CharsmapWriter(rules).bytes()}),
                   "its precompiled_charsmap has more than 32 rules of which each is the begin");
  ModelWriter symbols = small_model();
  for (std::size_t size = 1; size <= 64; ++size) {
    symbols.add_piece(std::string(size, 'c'), 0, kUserDefined);
    symbols.add_piece(std::string(size, 'c') + "b", 0, kUserDefined);
  }
  expect_no_engine(symbols.finish({}), "it has more than 64 user-defined symbols of which each");
}

// The library makes a double array of the pieces, for which this one is empty.
TEST(Tokenize, NamesAModelForWhichTheLibraryThrows) {
  ModelWriter model = small_model();
  model.add_piece(std::string("\0a", 2), -1, kNormal);
  expect_no_engine(model.finish({}), "the SentencePiece library cannot take it: ");
}

TEST(Tokenize, NamesAModelWithoutTheIdToAdd) {
  EXPECT_THAT(config_error({{"model", model_without_bos()}, {"add_bos", true}}),
              HasSubstr("the model '" + model_without_bos() + "' has no bos id"));
  EXPECT_EQ(config_error({{"model", model_without_bos()}, {"add_eos", true}}), "");
}

}  // namespace
}  // namespace penstock
