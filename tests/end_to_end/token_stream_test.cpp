#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <gtest/gtest.h>
#include <unistd.h>

#include "pipeline/pipeline.h"
#include "stages/register_stages.h"
#include "tests/end_to_end/reference_stream.h"
#include "tests/fakes.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

std::string yaml_list(const std::vector<std::string>& values) {
  std::string list = "[";
  for (const std::string& value : values) {
    list += (list.size() > 1 ? ", '" : "'") + value + "'";
  }
  return list + "]";
}

// Takes up to 300 us longer for a chunk than it needs, so that chunks overtake each other.
class Delay final : public Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit Delay(const StageConfig&) {}
  DocumentChunk process(DocumentChunk chunk) override {
    testing::spin(static_cast<std::uint64_t>(chunk.position.byte_offset), 300us);
    return chunk;
  }
};

StageRegistry registry_with_delays() {
  StageRegistry registry;
  register_stages(registry);
  registry.add_transform<Delay>("delay", "Takes its time.", {});
  return registry;
}

// The tokens of all batches of a run, without the padding, which is at the end alone. Holds on to
// some batches and makes sure that they stay as they are.
std::vector<TokenId> run_stream(const std::string& yaml, const StageRegistry& registry) {
  class Collect final : public Sink {
   public:
    explicit Collect(std::vector<TokenId>& tokens) : tokens_(tokens) {}
    void consume(std::shared_ptr<const Batch> batch, Completion done) override {
      tokens_.insert(
          tokens_.end(), batch->tokens.begin(), batch->tokens.begin() + batch->num_tokens);
      if (batch->index % 7 == 0) {
        held_.emplace_back(batch, *batch);
      }
      done.done();
    }
    void finish() override {
      for (const auto& [batch, copy] : held_) {
        EXPECT_EQ(batch->index, copy.index);
        EXPECT_EQ(batch->tokens, copy.tokens);
        EXPECT_EQ(batch->cu_seqlens, copy.cu_seqlens);
        EXPECT_EQ(batch->segments.size(), copy.segments.size());
      }
    }

   private:
    std::vector<TokenId>& tokens_;
    std::vector<std::pair<std::shared_ptr<const Batch>, Batch>> held_;
  };
  std::vector<TokenId> tokens;
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<Collect>(tokens));
  const PipelineConfig config = parse_config(yaml, "test.yaml", registry);
  Pipeline(config, registry, std::move(sinks)).run();
  return tokens;
}

std::string chain(const std::vector<std::string>& shards,
                  const std::string& model,
                  int threads,
                  int lanes,
                  const std::string& memory_limit) {
  return "{threads: " + std::to_string(threads) + ", memory_limit: " + memory_limit +
         ", pipeline: [{read: {paths: " + yaml_list(shards) + ", lanes: " + std::to_string(lanes) +
         ", chunk_size: 32KiB}}, parse, delay, {tokenize: {model: '" + model +
         "'}}, {pack: {batch_size: 4, sequence_length: 256}}, {write_npy: {path: unused.npy}}]}";
}

// The order in which lanes deal their chunks, worked out with the read stage alone: a loop over the
// lanes, one chunk each, and the library's ids of the chunk's documents.
std::vector<TokenId> sequential_loop(const std::string& yaml, const StageRegistry& registry) {
  const PipelineConfig config = parse_config(yaml, "test.yaml", registry);
  StreamInfo stream;
  Metrics metrics;
  FileClaims files;
  const BuildContext context{stream, metrics, metrics.add("loop", 1), files, 1};
  const auto source =
      std::get<SourceFactory>(registry.find("read")->factory)(config.stages[0], context);
  std::vector<std::unique_ptr<Stage>> stages;
  for (const std::size_t place : {1, 3}) {  // parse, tokenize
    const StageConfig& stage = config.stages[place];
    stages.push_back(
        std::get<StageFactory>(registry.find(stage.stage())->factory)(stage, context)());
  }
  std::vector<TokenId> tokens;
  std::set<int> open;
  for (int lane = 0; lane < source->lanes(); ++lane) {
    open.insert(lane);
  }
  while (!open.empty()) {
    for (const int lane : std::vector<int>(open.begin(), open.end())) {
      std::optional<Chunk> chunk = source->next(lane, {});
      if (!chunk) {
        open.erase(lane);
        continue;
      }
      for (const auto& stage : stages) {
        *chunk = stage->process_chunk(std::move(*chunk));
      }
      const auto& ids = std::get<TokenChunk>(*chunk).ids;
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    }
  }
  return tokens;
}

void expect_stream_equals_loop(const std::vector<std::string>& shards, const std::string& model) {
  const StageRegistry registry = registry_with_delays();
  for (const int lanes : {1, 3}) {
    const std::vector<TokenId> expected =
        sequential_loop(chain(shards, model, 1, lanes, "1GiB"), registry);
    if (lanes == 1) {
      EXPECT_EQ(expected, testing::reference_ids(shards, model)) << model;
    }
    for (const int threads : {1, 2, 8}) {
      for (const char* memory_limit : {"1MiB", "1GiB"}) {
        EXPECT_TRUE(run_stream(chain(shards, model, threads, lanes, memory_limit), registry) ==
                    expected)
            << model << " with " << threads << " threads, " << lanes << " lanes, " << memory_limit;
      }
    }
  }
}

TEST(TokenStream, EqualsTheSequentialLoopForTheSample) {
  const std::string folder = std::string(PENSTOCK_SOURCE_DIR) + "/data/sample/";
  for (const char* model : {"demo_bpe_8k_bytefallback.model", "demo_unigram_8k_nmt_nfkc.model"}) {
    expect_stream_equals_loop(testing::sample_shards(), folder + model);
  }
}

// Frames that several threads decompress at the same time, where there are several.
TEST(TokenStream, EqualsTheSequentialLoopForAShardOfManyFrames) {
  const TemporaryFolder folder;
  const std::string joined = folder.path("joined.jsonl.zst");
  std::ofstream file(joined, std::ios::binary);
  for (int i = 0; i < 2; ++i) {
    for (const std::string& shard : testing::sample_shards()) {
      file << std::ifstream(shard, std::ios::binary).rdbuf();
    }
  }
  file.close();
  const StageRegistry registry = registry_with_delays();
  const auto of_threads = [&](int threads) {
    return chain({joined},
                 std::string(PENSTOCK_SOURCE_DIR) + "/data/sample/demo_bpe_8k_bytefallback.model",
                 threads,
                 1,
                 "1MiB");
  };
  const std::vector<TokenId> expected = sequential_loop(of_threads(1), registry);
  for (const int threads : {2, 8}) {
    EXPECT_TRUE(run_stream(of_threads(threads), registry) == expected) << threads << " threads";
  }
}

TEST(TokenStream, EqualsTheSequentialLoopForTheCorpus) {
  std::vector<std::string> shards = testing::corpus_shards();
  if (shards.empty()) {
    GTEST_SKIP() << "PENSTOCK_TEST_DATA is not set";
  }
  for (const std::string& model : testing::models()) {
    // A Unigram model and four shards: the library needs seconds for more.
    if (model.ends_with("xlnet-base-cased.model")) {
      expect_stream_equals_loop({shards[3], shards[5], shards[8], shards[2]}, model);
    }
  }
}

// What is in an .npy file of one- or two-dimensional unsigned data.
std::vector<TokenId> read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::size_t header = 10 + static_cast<unsigned char>(bytes.at(8)) +
                             256 * static_cast<std::size_t>(static_cast<unsigned char>(bytes[9]));
  const bool wide = bytes.find("'<u4'") < header;
  const std::size_t width = wide ? 4 : 2;
  std::vector<TokenId> ids((bytes.size() - header) / width, 0);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::memcpy(&ids[i], bytes.data() + header + i * width, width);
  }
  return ids;
}

TEST(TokenStream, WrittenWithOneLaneEqualsEncodeAsIdsForEveryModel) {
  StageRegistry registry;
  register_stages(registry);
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("penstock_token_stream_" + std::to_string(getpid()) + ".npy"))
                               .string();
  const std::vector<std::string> shards = testing::sample_shards();
  for (const std::string& model : testing::models()) {
    const std::string yaml =
        "{threads: 2, pipeline: [{read: {paths: " + yaml_list(shards) +
        ", lanes: 1}}, parse, {tokenize: {model: '" + model +
        "'}}, {pack: {batch_size: 4, sequence_length: 256}}, {write_npy: {path: '" + path + "'}}]}";
    Pipeline(parse_config(yaml, "test.yaml", registry), registry).run();
    const std::vector<TokenId> expected = testing::reference_ids(shards, model);
    std::vector<TokenId> written = read_npy(path);
    ASSERT_GE(written.size(), expected.size()) << model;
    ASSERT_LT(written.size() - expected.size(), 256u) << model;
    written.resize(expected.size());
    EXPECT_TRUE(written == expected) << model;
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace penstock
