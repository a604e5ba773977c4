#include "pipeline/chunk.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <gtest/gtest.h>

namespace penstock {
namespace {

ChunkInfo some_info() {
  ChunkInfo info;
  info.position = {std::make_shared<const std::string>("a.jsonl"), 7, 120};
  info.num_records = 3;
  info.rejects.push_back({info.position, "too long", "raw", 3, "parse"});
  return info;
}

void expect_some_info(const Chunk& chunk) {
  EXPECT_EQ(to_string(info(chunk).position), "a.jsonl, record 7, byte 120");
  EXPECT_EQ(info(chunk).num_records, 3);
  ASSERT_EQ(info(chunk).rejects.size(), 1U);
  EXPECT_EQ(info(chunk).rejects[0].reason, "too long");
}

TEST(Chunk, CopiesBytes) {
  auto original = std::make_optional<Chunk>(ByteChunk());
  auto& bytes = std::get<ByteChunk>(*original);
  static_cast<ChunkInfo&>(bytes) = some_info();
  bytes.bytes.reserve(1000);
  bytes.bytes.append("one\ntwo\n");
  bytes.delimiter = RecordDelimiter::kFile;
  const Chunk copy = copy_of(*original);
  original.reset();
  expect_some_info(copy);
  EXPECT_EQ(std::get<ByteChunk>(copy).bytes.view(), "one\ntwo\n");
  EXPECT_EQ(std::get<ByteChunk>(copy).bytes.capacity(), 8U);
  EXPECT_EQ(std::get<ByteChunk>(copy).delimiter, RecordDelimiter::kFile);
  EXPECT_EQ(content_bytes(copy), 8);
}

TEST(Chunk, CopiesDocumentsWithTheirText) {
  auto original = std::make_optional<Chunk>(DocumentChunk());
  auto& documents = std::get<DocumentChunk>(*original);
  static_cast<ChunkInfo&>(documents) = some_info();
  documents.documents.push_back({documents.arena.store("first"), 7, 120});
  documents.documents.push_back({documents.arena.store(""), 8, 130});
  documents.documents.push_back({documents.arena.store("second"), 9, 140});
  const Chunk copy = copy_of(*original);
  original.reset();
  expect_some_info(copy);
  const auto& copied = std::get<DocumentChunk>(copy).documents;
  ASSERT_EQ(copied.size(), 3U);
  EXPECT_EQ(copied[0].text, "first");
  EXPECT_EQ(copied[1].text, "");
  EXPECT_EQ(copied[2].text, "second");
  EXPECT_EQ(copied[2].record, 9);
  EXPECT_EQ(copied[2].byte_offset, 140);
  EXPECT_EQ(content_bytes(copy), 11);
}

TEST(Chunk, CopiesTokens) {
  TokenChunk tokens;
  static_cast<ChunkInfo&>(tokens) = some_info();
  tokens.ids = {1, 2, 3};
  tokens.documents = {{3, 7, 120}};
  const Chunk copy = copy_of(Chunk(std::move(tokens)));
  expect_some_info(copy);
  EXPECT_EQ(std::get<TokenChunk>(copy).ids, (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(std::get<TokenChunk>(copy).documents[0].byte_offset, 120);
  EXPECT_EQ(content_bytes(copy), 0);
}

}  // namespace
}  // namespace penstock
