#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/errors.h"
#include "pipeline/pipeline.h"
#include "stages/register_stages.h"
#include "tests/fakes.h"
#include "tests/stages/compress.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using ::testing::HasSubstr;

// The position behind every batch.
class EveryPosition final : public CheckpointSchedule {
 public:
  bool is_due(std::int64_t) override { return true; }
  std::shared_ptr<PendingCheckpoint> begin(StreamPosition position, std::size_t) override {
    positions.push_back(position);
    return nullptr;
  }

  std::vector<StreamPosition> positions;
};

class KeepBatches final : public Sink {
 public:
  explicit KeepBatches(std::vector<Batch>& batches) : batches_(batches) {}
  void consume(std::shared_ptr<const Batch> batch, Completion done) override {
    batches_.push_back(*batch);
    done.done();
  }

 private:
  std::vector<Batch>& batches_;
};

struct Ran {
  std::vector<Batch> batches;
  std::vector<StreamPosition> positions;
  RunSummary summary;
};

StageRegistry make_registry() {
  StageRegistry registry;
  register_stages(registry);
  return registry;
}

Ran run(const std::string& yaml, const StreamPosition* from = nullptr) {
  static const StageRegistry registry = make_registry();
  const PipelineConfig config = parse_config(yaml, "test.yaml", registry);
  Ran ran;
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(std::make_unique<KeepBatches>(ran.batches));
  const std::unique_ptr<Pipeline> pipeline =
      from == nullptr ? std::make_unique<Pipeline>(config, registry, std::move(sinks))
                      : std::make_unique<Pipeline>(
                            config, registry, ResumePoint{*from, "checkpoint"}, std::move(sinks));
  const auto positions = std::make_shared<EveryPosition>();
  pipeline->set_checkpoints(positions);
  ran.summary = pipeline->run();
  ran.positions = positions->positions;
  return ran;
}

void expect_equal(const Batch& batch, const Batch& expected) {
  EXPECT_EQ(batch.index, expected.index);
  EXPECT_EQ(batch.num_rows, expected.num_rows);
  EXPECT_EQ(batch.num_tokens, expected.num_tokens);
  EXPECT_TRUE(batch.tokens == expected.tokens) << "batch " << batch.index;
  EXPECT_TRUE(batch.cu_seqlens == expected.cu_seqlens) << "batch " << batch.index;
  EXPECT_EQ(batch.account, expected.account);
  ASSERT_EQ(batch.segments.size(), expected.segments.size());
  for (std::size_t i = 0; i < batch.segments.size(); ++i) {
    const Segment& segment = batch.segments[i];
    const Segment& other = expected.segments[i];
    EXPECT_EQ(segment.begin, other.begin);
    EXPECT_EQ(segment.end, other.end);
    EXPECT_EQ(*segment.shard, *other.shard);
    EXPECT_EQ(segment.record, other.record);
    EXPECT_EQ(segment.byte_offset, other.byte_offset);
    EXPECT_EQ(segment.document_token, other.document_token);
  }
}

// Goes on behind batch n: the batches, the positions and the totals are those of the whole run.
void expect_same_from(const std::string& yaml, const Ran& whole, std::size_t n) {
  const StreamPosition from = parse_stream_position(to_json(whole.positions.at(n)));
  const Ran rest = run(yaml, &from);
  ASSERT_EQ(rest.batches.size() + n + 1, whole.batches.size()) << "behind batch " << n;
  for (std::size_t i = 0; i < rest.batches.size(); ++i) {
    expect_equal(rest.batches[i], whole.batches[n + 1 + i]);
    if (i % 16 == 0) {
      EXPECT_EQ(to_json(rest.positions[i]), to_json(whole.positions[n + 1 + i]));
    }
  }
  EXPECT_EQ(rest.summary.tokens, whole.summary.tokens) << "behind batch " << n;
  EXPECT_EQ(rest.summary.delivered_tokens, whole.summary.tokens.out);
  EXPECT_EQ(rest.summary.new_tokens(), whole.summary.tokens.out - from.account.out);
  EXPECT_EQ(rest.summary.share_done().value_or(1), 1);
  EXPECT_EQ(rest.summary.records, whole.summary.records);
  EXPECT_EQ(rest.summary.packed_records, whole.summary.records);
  EXPECT_EQ(rest.summary.documents, whole.summary.documents);
  EXPECT_EQ(rest.summary.rejects, whole.summary.rejects);
  EXPECT_EQ(rest.summary.batches, whole.summary.batches);
}

// JSON lines: documents of up to `most_words` words, empty ones, blank lines and damaged ones.
std::string make_text(std::uint32_t seed, std::size_t size, int most_words) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < size) {
    const std::uint32_t kind = random() % 20;
    if (kind == 0) {
      text += "\n";
    } else if (kind == 1) {
      text += "{\"text\": \"\"}\n";
    } else if (kind == 2) {
      text += "{\"text\": broken}\n";
    } else {
      text += "{\"text\": \"";
      const int words = 1 + static_cast<int>(random() % static_cast<unsigned>(most_words));
      for (int i = 0; i < words; ++i) {
        text += (i == 0 ? "w" : " w") + std::to_string(random() % 1000);
      }
      text += "\"}\n";
    }
  }
  return text;
}

class Resume : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_.path(name), std::ios::binary) << bytes;
  }

  // Five shards of four kinds, of different length.
  void write_shards(int most_words) {
    write("a.zst", testing::zstd(make_text(1, 20'000, most_words)));
    write("b.zst", testing::zstd_frames(make_text(2, 15'000, most_words), 6'000));
    write("c.gz", testing::gzip(make_text(3, 8'000, most_words)));
    write("d.jsonl", make_text(4, 18'000, most_words));
    const std::string damaged = testing::zstd(make_text(5, 150'000, most_words));
    write("e.zst", damaged.substr(0, damaged.size() - damaged.size() / 8));
  }

  std::string yaml(int threads, int lanes, const std::string& pack) const {
    return "{threads: " + std::to_string(threads) +
           ", on_error: skip, pipeline: [{read: {paths: '" + folder_.path("*") +
           "', chunk_size: 4KiB, max_document: 12KiB, lanes: " + std::to_string(lanes) +
           "}}, parse, {tokenize: {add_eos: true, model: '" + PENSTOCK_SOURCE_DIR +
           "/data/sample/demo_bpe_8k_bytefallback.model'}}, {pack: {" + pack + "}}, discard]}";
  }

  TemporaryFolder folder_;
};

TEST_F(Resume, GoesOnWithTheVeryNextBatch) {
  std::mt19937 random(7);
  for (const int most_words : {8, 3000}) {
    write_shards(most_words);
    for (const char* pack : {"batch_size: 3, sequence_length: 100",
                             "batch_size: 4, sequence_length: 512, shifted_targets: true",
                             "batch_size: 1, sequence_length: 61, shifted_targets: true",
                             "batch_size: 16, sequence_length: 1024, drop_last: true",
                             "batch_size: 16, sequence_length: 1024"}) {
      for (const int lanes : {1, 3}) {
        if (lanes == 1 && most_words > 8) {
          continue;  // a lane of long documents is nothing new
        }
        const Ran whole = run(yaml(2, lanes, pack));
        const std::size_t batches = whole.batches.size();
        ASSERT_GE(batches, 1u);
        for (const std::size_t n : {random() % batches, batches - 1}) {
          SCOPED_TRACE(std::string(pack) + ", " + std::to_string(lanes) + " lanes, words up to " +
                       std::to_string(most_words) + ", behind batch " + std::to_string(n));
          expect_same_from(yaml(1 + static_cast<int>(n % 2), lanes, pack), whole, n);
        }
      }
    }
  }
}

constexpr const char* kPack = "batch_size: 2, sequence_length: 128, shifted_targets: true";

TEST_F(Resume, GoesOnBehindEveryBatch) {
  write("a.zst", testing::zstd_frames(make_text(1, 6'000, 40), 2'000));
  write("b.jsonl", make_text(2, 5'000, 40));
  const Ran whole = run(yaml(1, 2, kPack));
  ASSERT_GE(whole.batches.size(), 10u);
  for (std::size_t n = 0; n < whole.batches.size(); ++n) {
    expect_same_from(yaml(1, 2, kPack), whole, n);
  }
}

TEST_F(Resume, TakesAFewKilobytes) {
  write_shards(8);
  const Ran whole = run(yaml(1, 3, kPack));
  EXPECT_LT(to_json(whole.positions.back()).size(), 4096u);
}

TEST_F(Resume, GoesOnWithTheShardsInAnotherFolder) {
  write_shards(8);
  const Ran whole = run(yaml(1, 3, kPack));
  const std::string moved = folder_.path() + "_moved";
  std::filesystem::rename(folder_.path(), moved);
  std::string there = yaml(1, 3, kPack);
  there.replace(there.find(folder_.path()), folder_.path().size(), moved);
  const Ran rest = run(there, &whole.positions.at(5));
  std::filesystem::rename(moved, folder_.path());
  ASSERT_EQ(rest.batches.size() + 6, whole.batches.size());
  EXPECT_TRUE(rest.batches.back().tokens == whole.batches.back().tokens);
}

template <typename Error>
std::string error_of_run(const std::string& yaml, const StreamPosition& from) {
  try {
    run(yaml, &from);
  } catch (const Error& error) {
    return full_message(error);
  }
  return "none";
}

TEST_F(Resume, RefusesAnotherStreamAndSaysWhatIsNotTheSame) {
  write_shards(8);
  const StreamPosition from = run(yaml(1, 3, kPack)).positions.at(5);
  EXPECT_EQ(error_of_run<ConfigError>(yaml(1, 2, kPack), from),
            "checkpoint: the run would not be the same: read.lanes was 3 and is 2 now");
  EXPECT_EQ(
      error_of_run<ConfigError>(
          yaml(1, 3, "batch_size: 2, sequence_length: 64, shifted_targets: true"), from),
      "checkpoint: the run would not be the same: pack.sequence_length was 128 and is 64 now");
  std::ofstream(folder_.path("b.zst"), std::ios::app) << "more";
  EXPECT_THAT(error_of_run<ConfigError>(yaml(1, 3, kPack), from),
              HasSubstr("read.shards[1] was 'b.zst' of "));
  std::filesystem::remove(folder_.path("b.zst"));
  EXPECT_THAT(error_of_run<ConfigError>(yaml(1, 3, kPack), from),
              HasSubstr("read.shards was 5 and is 4 now"));
}

TEST_F(Resume, RefusesAnotherModelOfTheSameName) {
  write_shards(8);
  const std::string model = "/data/sample/demo_bpe_8k_bytefallback.model";
  const StreamPosition from = run(yaml(1, 3, kPack)).positions.at(5);
  std::string other = yaml(1, 3, kPack);
  other.replace(other.find(model), model.size(), "/data/sample/demo_unigram_8k_nmt_nfkc.model");
  EXPECT_THAT(error_of_run<ConfigError>(other, from), HasSubstr("tokenize.model was 119684 bytes"));
}

// The shard has as many bytes as before, so only what is read tells.
TEST_F(Resume, StopsAtAShardThatHasOtherRecordsBefore) {
  const std::string text = make_text(1, 30'000, 8);
  write("a.jsonl", text);
  const StreamPosition from = run(yaml(1, 1, kPack)).positions.at(30);
  ASSERT_GT(from.lanes[0].place.byte_offset, 0);
  std::string other = text;
  std::replace(other.begin(), other.begin() + 100, '\n', ' ');
  write("a.jsonl", other);
  EXPECT_THAT(error_of_run<StageError>(yaml(1, 1, kPack), from),
              HasSubstr("but the shard has other records before: it is not what it was"));
  write("a.jsonl", std::string(text.size(), '\0'));
  EXPECT_THAT(error_of_run<StageError>(yaml(1, 1, kPack), from),
              HasSubstr("but the shard cannot be read up to there: not text"));
}

TEST_F(Resume, CountsWhatWasRefusedBefore) {
  write_shards(8);
  const Ran whole = run(yaml(1, 3, kPack));
  ASSERT_GE(whole.summary.rejects, 10);
  std::string bounded = yaml(1, 3, kPack);
  bounded.insert(1, "max_errors: " + std::to_string(whole.summary.rejects - 1) + ", ");
  EXPECT_THAT(error_of_run<RecordError>(bounded, whole.positions.at(whole.positions.size() - 2)),
              HasSubstr(std::to_string(whole.summary.rejects) + " records were refused"));
}

TEST_F(Resume, QuarantinesToAFileOfItsOwn) {
  write("a.jsonl", make_text(1, 9'000, 8));
  std::string yaml = this->yaml(1, 1, kPack);
  yaml.replace(yaml.find("skip"), 4, "quarantine, quarantine: '" + folder_.path(".q.jsonl") + "'");
  const auto lines = [&](const std::string& name) {
    std::ifstream file(folder_.path(name));
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  // Not instead of other outputs, which are not written: as it is configured.
  const StageRegistry registry = make_registry();
  const PipelineConfig config = parse_config(yaml, "test.yaml", registry);
  Pipeline whole(config, registry);
  const auto positions = std::make_shared<EveryPosition>();
  whole.set_checkpoints(positions);
  const std::int64_t rejects = whole.run().rejects;
  ASSERT_EQ(lines(".q.jsonl"), rejects);
  const StreamPosition& from = positions->positions.at(4);
  Pipeline rest(config, registry, ResumePoint{from, "checkpoint"});
  EXPECT_EQ(rest.run().rejects, rejects);
  EXPECT_EQ(lines(".q.jsonl"), rejects);
  EXPECT_EQ(lines(".q.from-batch-5.jsonl"), rejects - from.totals.rejects);
}

TEST_F(Resume, IsToldToBeImpossibleBeforeTheFirstRun) {
  write("a.jsonl", make_text(1, 9'000, 8));
  std::string yaml = this->yaml(1, 1, kPack);
  yaml.replace(yaml.find("discard"), 7, "{write_npy: {path: '" + folder_.path(".x.npy") + "'}}");
  yaml.insert(1, "checkpoint_folder: '" + folder_.path("checkpoints") + "', ");
  const StageRegistry registry = make_registry();
  try {
    Pipeline pipeline(parse_config(yaml, "test.yaml", registry), registry);
    ADD_FAILURE() << "was built";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'write_npy' cannot go on from a checkpoint: its file"));
  }
}

// Stages that know nothing of going on run, but not from a checkpoint.
TEST(ResumeOfOtherStages, IsRefusedByName) {
  StageRegistry registry = make_registry();
  registry.add(testing::token_source([] { return std::make_unique<testing::NumberSource>(2, 5); }));
  registry.add(testing::token_stage(
      "in_order", [](TokenChunk chunk) { return chunk; }, Ordering::kInOrder));
  registry.add(testing::row_assembler(10));
  std::vector<Batch> batches;
  const auto sinks = [&] {
    std::vector<std::unique_ptr<Sink>> made;
    made.push_back(std::make_unique<KeepBatches>(batches));
    return made;
  };
  const PipelineConfig config =
      parse_config("pipeline: [numbers, in_order, rows, discard]", "t.yaml", registry);
  Pipeline(config, registry, sinks()).run();
  EXPECT_GT(batches.size(), 0u);
  try {
    Pipeline(config, registry, ResumePoint(), sinks());
    ADD_FAILURE() << "went on";
  } catch (const ConfigError& error) {
    ASSERT_EQ(error.issues().size(), 3u);
    EXPECT_THAT(error.what(), HasSubstr("'numbers' cannot go on from a checkpoint: the source"));
    EXPECT_THAT(error.what(), HasSubstr("'in_order' cannot go on from a checkpoint: it sees"));
    EXPECT_THAT(error.what(), HasSubstr("'rows' cannot go on from a checkpoint: the assembler"));
  }
  Pipeline pipeline(config, registry, sinks());
  EXPECT_THROW(pipeline.set_checkpoints(std::make_shared<EveryPosition>()), ConfigError);
}

}  // namespace
}  // namespace penstock
