#include "pipeline/stage_replay.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "tests/fakes.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

// Gives chunks whose text is their number, three a lane, "0" to "2"; lane 1 is empty.
class TextSource final : public Source {
 public:
  int lanes() const override { return 2; }
  std::optional<Chunk> next(int lane, const std::stop_token&) override {
    if (lane == 1 || next_ == 3) {
      return std::nullopt;
    }
    ByteChunk chunk;
    chunk.num_records = 1;
    chunk.position.record = next_ + 1;
    chunk.bytes.append(std::to_string(next_++));
    return chunk;
  }

 private:
  int next_ = 0;
};

// A document of twice the text.
class Twice final : public Transform<ByteChunk, DocumentChunk> {
 public:
  explicit Twice(const StageConfig&) {}
  DocumentChunk process(ByteChunk chunk) override {
    auto documents = continue_chunk<DocumentChunk>(chunk);
    const std::string text(chunk.bytes.view());
    documents.documents.push_back({documents.arena.store(text + text), 1, 0});
    return documents;
  }
};

class Same final : public Transform<DocumentChunk, DocumentChunk> {
 public:
  explicit Same(const StageConfig&) {}
  DocumentChunk process(DocumentChunk chunk) override { return chunk; }
};

// Three tokens a chunk. Notes what each instance saw, texts joined.
class Threes final : public Transform<DocumentChunk, TokenChunk> {
 public:
  explicit Threes(const StageConfig&) {}
  ~Threes() override { seen.push_back(own_); }
  TokenChunk process(DocumentChunk chunk) override {
    auto tokens = continue_chunk<TokenChunk>(chunk);
    own_ += chunk.documents.at(0).text;
    tokens.ids = {1, 2, 3};
    tokens.documents.push_back({3, 1, 0});
    return tokens;
  }
  static inline std::vector<std::string> seen;

 private:
  std::string own_;
};

class StageReplayTest : public ::testing::Test {
 protected:
  StageReplayTest() {
    Threes::seen.clear();
    StageType source;
    source.name = "text";
    source.output = Payload::kBytes;
    source.factory = SourceFactory([](const StageConfig&, const BuildContext& context) {
      context.metrics.add("part", 1);
      return std::make_unique<TextSource>();
    });
    registry_.add(std::move(source));
    registry_.add_transform<Twice>("twice", "", {});
    registry_.add_transform<Same>("same", "", {});
    registry_.add_transform<Threes>("threes", "", {}, Ordering::kInOrder);
    registry_.add(testing::row_assembler(2));
    StageType sink;
    sink.name = "never";
    sink.input = Payload::kBatch;
    sink.factory =
        SinkFactory([](const StageConfig&, const BuildContext&) -> std::unique_ptr<Sink> {
          throw std::logic_error("a sink was made");
        });
    registry_.add(std::move(sink));
  }

  StageReplay make() const {
    return StageReplay(
        parse_config(
            "pipeline: [text, twice, same, same, threes, rows, never]", "x.yaml", registry_),
        registry_);
  }

  StageRegistry registry_;
};

TEST_F(StageReplayTest, NamesWhatItMeasures) {
  const StageReplay replay = make();
  std::vector<std::string> names;
  std::vector<int> nodes;
  std::vector<int> widths;
  for (const ReplayedStage& stage : replay.stages()) {
    names.push_back(stage.name);
    nodes.push_back(stage.node);
    widths.push_back(stage.width.value_or(0));
  }
  EXPECT_THAT(names, ElementsAre("text", "part", "twice", "same[0]", "same[1]", "threes", "rows"));
  EXPECT_THAT(nodes, ElementsAre(0, 0, 1, 1, 1, 2, 3));
  EXPECT_THAT(widths, ElementsAre(2, 2, 0, 0, 0, 1, 1));
}

TEST_F(StageReplayTest, CountsTextBeforeTheLastStageThatTakesDocuments) {
  const auto text_stage_of = [&](const std::string& stages) {
    return text_stage(parse_config("pipeline: [" + stages + "]", "x.yaml", registry_), registry_);
  };
  EXPECT_EQ(text_stage_of("text, twice, same, same, threes, rows, never"), "threes");
  registry_.add(
      testing::token_source([] { return std::make_unique<testing::NumberSource>(1, 1); }));
  registry_.add(testing::token_stage("double", [](TokenChunk chunk) { return chunk; }));
  EXPECT_EQ(text_stage_of("numbers, double, double, rows, never"), "double[0]");
  EXPECT_EQ(text_stage_of("numbers, rows, never"), "");
}

TEST_F(StageReplayTest, SamplesTheStreamOverAndOver) {
  StageReplay replay = make();
  replay.capture(15, {});
  // Two bytes of text in each chunk, and an even number of chunks.
  ASSERT_EQ(replay.sample().size(), 8U);
  EXPECT_EQ(replay.passes(), 3);
  EXPECT_EQ(replay.sample()[7].text_bytes, 2);
  EXPECT_EQ(replay.sample()[7].tokens, 3);
  EXPECT_EQ(replay.sample()[7].position.record, 2);
  EXPECT_THAT(Threes::seen, ElementsAre("0011220011220011"));
}

TEST_F(StageReplayTest, SendsTheSameChunksThroughNewInstances) {
  StageReplay replay = make();
  replay.capture(15, {});
  const std::vector<ReplayTime> times = replay.measure({});
  replay.measure({});
  EXPECT_THAT(Threes::seen,
              ElementsAre("0011220011220011", "0011220011220011", "0011220011220011"));
  ASSERT_EQ(times.size(), replay.stages().size());
  EXPECT_GT(times[0].second_half, 0);
  EXPECT_EQ(times[1].second_half, 0);  // the part of the source that is never busy
  for (const std::size_t stage : {2, 3, 4, 5, 6}) {
    EXPECT_GT(times[stage].first_half, 0);
    EXPECT_GT(times[stage].second_half, 0);
  }
}

TEST_F(StageReplayTest, RefusesAnInputWithoutText) {
  StageType empty;
  empty.name = "empty";
  empty.output = Payload::kTokens;
  empty.factory = SourceFactory([](const StageConfig&, const BuildContext&) {
    return std::make_unique<testing::NumberSource>(1, 0);
  });
  registry_.add(std::move(empty));
  StageReplay replay(parse_config("pipeline: [empty, rows, never]", "x.yaml", registry_),
                     registry_);
  EXPECT_THROW(replay.capture(100, {}), std::runtime_error);
}

}  // namespace
}  // namespace penstock
