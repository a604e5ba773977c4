#include "stages/chunk_records.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/stages/built_transform.h"

namespace penstock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::make_byte_chunk;

// Text, record, byte offset.
using Found = std::tuple<std::string, std::int64_t, std::int64_t>;

std::vector<Found> all_records(const ByteChunk& chunk) {
  std::vector<Found> found;
  ChunkRecords records(chunk);
  while (const auto record = records.next()) {
    found.emplace_back(record->bytes, record->record, record->byte_offset);
  }
  return found;
}

// As a reader refuses a record: only the beginning of it is kept.
Reject left_out(std::int64_t record, std::int64_t raw_bytes) {
  Reject reject;
  reject.position.record = record;
  reject.raw = "begin";
  reject.raw_bytes = raw_bytes;
  return reject;
}

TEST(ChunkRecords, CountsOnFromTheChunksPosition) {
  ByteChunk chunk = make_byte_chunk("one\ntwo\n\nfour");
  chunk.position.record = 10;
  chunk.position.byte_offset = 1000;

  EXPECT_THAT(all_records(chunk),
              ElementsAre(Found("one", 10, 1000), Found("two", 11, 1004), Found("four", 13, 1009)));
}

TEST(ChunkRecords, CountsBlankRecordsButGivesNone) {
  EXPECT_THAT(all_records(make_byte_chunk("\n \t\r\n\r\na\n  \n")), ElementsAre(Found("a", 4, 7)));
  EXPECT_THAT(all_records(make_byte_chunk("\n\n\n")), IsEmpty());
  EXPECT_THAT(all_records(make_byte_chunk("")), IsEmpty());
}

TEST(ChunkRecords, TakesNulAndOtherControlsForContent) {
  EXPECT_THAT(all_records(make_byte_chunk(std::string_view("\0\n\f\n", 4))),
              ElementsAre(Found(std::string(1, '\0'), 1, 0), Found("\f", 2, 2)));
}

TEST(ChunkRecords, StepsOverRecordsThatTheReaderLeftOut) {
  // Of five records the second, third and fifth were longer than allowed.
  ByteChunk chunk = make_byte_chunk("one\nfour\nsix\n");
  chunk.rejects = {left_out(2, 100), left_out(3, 2000), left_out(5, 300)};

  EXPECT_THAT(all_records(chunk),
              ElementsAre(Found("one", 1, 0), Found("four", 4, 2106), Found("six", 6, 2412)));
}

TEST(ChunkRecords, StepsOverARecordLeftOutAtTheBeginning) {
  ByteChunk chunk = make_byte_chunk("eight\n");
  chunk.position.record = 7;
  chunk.position.byte_offset = 50;
  chunk.rejects = {left_out(7, 1000)};

  EXPECT_THAT(all_records(chunk), ElementsAre(Found("eight", 8, 1051)));
}

TEST(ChunkRecords, DoesNotMindRejectsFromBeforeAndBehindItsRecords) {
  ByteChunk chunk = make_byte_chunk("seven\neight\n");
  chunk.position.record = 7;
  chunk.rejects = {left_out(6, 1000), left_out(9, 0)};

  EXPECT_THAT(all_records(chunk), ElementsAre(Found("seven", 7, 0), Found("eight", 8, 6)));
}

TEST(ChunkRecords, TakesAWholeFileAsOneRecord) {
  ByteChunk chunk = make_byte_chunk("one\ntwo\n");
  chunk.delimiter = RecordDelimiter::kFile;

  EXPECT_THAT(all_records(chunk), ElementsAre(Found("one\ntwo\n", 1, 0)));
}

TEST(ChunkRecords, TakesABlankFileForNoRecord) {
  ByteChunk chunk = make_byte_chunk(" \n\n");
  chunk.delimiter = RecordDelimiter::kFile;

  EXPECT_THAT(all_records(chunk), IsEmpty());
}

}  // namespace
}  // namespace penstock
