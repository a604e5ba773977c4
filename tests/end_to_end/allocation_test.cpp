// Counts what a run allocates once it is under way. A program of its own, whose operator new
// counts.
#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "bench/allocation_count.h"
#include "pipeline/pipeline.h"
#include "stages/register_stages.h"
#include "tests/stages/compress.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

// A token for every four bytes: as many as a tokenizer makes, which is not what is tested here.
class FourBytes final : public Transform<DocumentChunk, TokenChunk> {
 public:
  explicit FourBytes(const StageConfig&) {}

  TokenChunk process(DocumentChunk chunk) override {
    auto tokens = continue_chunk<TokenChunk>(chunk);
    for (const Document& document : chunk.documents) {
      for (std::size_t at = 0; at < document.text.size(); at += 4) {
        tokens.ids.push_back(static_cast<unsigned char>(document.text[at]));
      }
      tokens.documents.push_back({std::ssize(tokens.ids), document.record, document.byte_offset});
    }
    release(chunk, tokens.spare);
    return tokens;
  }
};

// Notes what has been allocated by the time of each batch.
class NoteAllocations final : public Sink {
 public:
  explicit NoteAllocations(std::vector<std::int64_t>& calls) : calls_(calls) {
    constexpr std::size_t kMostBatches = 10'000;
    calls_.reserve(kMostBatches);
  }

  void consume(std::shared_ptr<const Batch> batch, Completion done) override {
    calls_.push_back(bench::AllocationCount::now().calls);
    batch.reset();
    done.done();
  }

 private:
  std::vector<std::int64_t>& calls_;
};

class AllocationTest : public ::testing::Test {
 protected:
  static constexpr int kShards = 2;

  AllocationTest() {
    std::string text;
    for (int record = 0; text.size() < std::size_t{8} << 20; ++record) {
      const std::string number = std::to_string(record);
      text += R"({"id":)" + number + R"(,"text":"record )" + number;
      for (int line = 0; line < record % 40; ++line) {
        text += R"(\nline with a \"quoted\" word and number )" + std::to_string(line * record);
      }
      text += "\"}\n";
    }
    for (int shard = 0; shard < kShards; ++shard) {
      std::ofstream(folder_.path(std::to_string(shard) + ".jsonl.zst"), std::ios::binary)
          << testing::zstd(text);
    }
  }

  // Allocations for each chunk between the middle of the run and its last tenth. On one thread:
  // with several, how many chunks are under way at once changes all the time.
  double allocations_per_chunk() const {
    StageRegistry registry;
    register_stages(registry);
    registry.add_transform<FourBytes>("four_bytes", "A token for every four bytes.", {});
    const PipelineConfig config =
        parse_config("threads: 1\npipeline:\n- read: {paths: '" + folder_.path("*.zst") +
                         "', chunk_size: 64KiB}\n- parse\n- four_bytes\n- pack\n" +
                         "- write_npy: {path: '" + folder_.path("replaced.npy") + "'}\n",
                     "test.yaml",
                     registry);
    std::vector<std::int64_t> calls;
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<NoteAllocations>(calls));
    const RunSummary summary = Pipeline(config, registry, std::move(sinks)).run();
    const auto parse =
        std::find_if(summary.stages.begin(), summary.stages.end(), [](const StageSummary& stage) {
          return stage.name == "parse";
        });
    const std::int64_t in_between = calls[calls.size() * 9 / 10] - calls[calls.size() / 2];
    return static_cast<double>(in_between) / (0.4 * static_cast<double>(parse->chunks));
  }

  const TemporaryFolder folder_;
};

TEST_F(AllocationTest, ARunThatIsUnderWayAllocatesNextToNothing) {
  // One of 48 bytes: the list of an arena's buffers.
  EXPECT_LE(allocations_per_chunk(), 1.5);
}

}  // namespace
}  // namespace penstock
