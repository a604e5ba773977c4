#include "testing/stage_run.h"

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/register_device.h"
#include "pipeline/errors.h"
#include "stages/register_stages.h"
#include "testing/chunks.h"

namespace penstock::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

StageRegistry all_stages() {
  StageRegistry registry;
  register_stages(registry);
  register_device(registry);
  return registry;
}

TEST(StageRun, GivesWhatAStageMakesOfAChunk) {
  const auto parsed = run_stage<DocumentChunk>(
      all_stages(), "parse", byte_chunk("{\"text\":\"a\"}\n{\"text\":\"bc\"}\n"));
  EXPECT_THAT(texts_of(parsed), ElementsAre("a", "bc"));
}

TEST(StageRun, KeepsWhatAStageRefuses) {
  std::vector<Chunk> chunks;
  chunks.emplace_back(byte_chunk("{\"text\":\"a\"}\n"));
  chunks.emplace_back(byte_chunk("{}\n"));
  const StageRun run = run_stage(all_stages(), "parse", chunks);
  ASSERT_EQ(run.chunks.size(), 2U);
  EXPECT_THAT(info(run.chunks[0]).rejects, IsEmpty());
  ASSERT_EQ(info(run.chunks[1]).rejects.size(), 1U);
  EXPECT_EQ(info(run.chunks[1]).rejects[0].raw, "{}");
  EXPECT_EQ(run.summary.rejects, 1);
}

TEST(StageRun, KeepsTheOrderOfManyChunksWithManyThreads) {
  std::vector<Chunk> chunks;
  for (int i = 0; i < 50; ++i) {
    chunks.emplace_back(byte_chunk("{\"text\":\"" + std::to_string(i) + "\"}\n"));
  }
  const StageRun run = run_stage(all_stages(), "parse", chunks, 4);
  ASSERT_EQ(run.chunks.size(), chunks.size());
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(texts_of(std::get<DocumentChunk>(run.chunks[static_cast<std::size_t>(i)])),
                ElementsAre(std::to_string(i)));
  }
}

TEST(StageRun, GivesTheChunksOfASource) {
  const StageRun run = run_source(
      all_stages(), std::string("read: {paths: '") + PENSTOCK_SOURCE_DIR + "/data/short/*.zst'}");
  ASSERT_FALSE(run.chunks.empty());
  EXPECT_TRUE(std::holds_alternative<ByteChunk>(run.chunks[0]));
  EXPECT_EQ(run.summary.records, 58);
}

TEST(StageRun, TellsWhatASinkFound) {
  const std::vector<Batch> batches = {batch_of({{1, 2, 3}, {4, 5, 6}}),
                                      batch_of({{7, 8, 9}, {0, 1, 2}}, 1)};
  const StageRun run = run_sink(all_stages(), "device: {kind: cpu, stage: checksum}", batches);
  EXPECT_EQ(run.summary.batches, 2);
  ASSERT_EQ(run.summary.sinks.size(), 1U);
  EXPECT_FALSE(run.summary.sinks[0].results.empty());
}

TEST(StageRun, ChecksOptions) {
  try {
    run_stage<DocumentChunk>(all_stages(), "parse: {format: csv}", byte_chunk(""));
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("option 'format' of stage 'parse'"));
  }
  EXPECT_THROW(run_stage<DocumentChunk>(all_stages(), "pars", byte_chunk("")),
               std::invalid_argument);
}

TEST(Chunks, GoThereAndBack) {
  EXPECT_THAT(texts_of(document_chunk({"a", "", "bc"})), ElementsAre("a", "", "bc"));
  EXPECT_THAT(tokens_of(token_chunk({{1, 2}, {}, {3}})),
              ElementsAre(ElementsAre(1, 2), IsEmpty(), ElementsAre(3)));
  EXPECT_THAT(rows_of(batch_of({{1, 2}, {3, 4}})),
              ElementsAre(ElementsAre(1, 2), ElementsAre(3, 4)));
  EXPECT_THROW(batch_of({{1, 2}, {3}}), std::invalid_argument);
}

TEST(Chunks, SayWhereTheirDocumentsComeFrom) {
  const DocumentChunk chunk = document_chunk({"ab", "c"}, "my.jsonl");
  EXPECT_EQ(to_string(chunk.position), "my.jsonl, record 1, byte 0");
  EXPECT_EQ(chunk.documents[1].record, 2);
  EXPECT_EQ(chunk.documents[1].byte_offset, 3);
}

}  // namespace
}  // namespace penstock::testing
