#include "stages/parse.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "pipeline/errors.h"
#include "tests/stages/built_transform.h"

namespace penstock {
namespace {

using testing::BuiltTransform;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using testing::make_byte_chunk;
using ::testing::Not;
using testing::read_file;
using testing::read_zstd_file;
using ::testing::SizeIs;

using Options = std::map<std::string, OptionValue>;

constexpr char kOddFiles[] = PENSTOCK_SOURCE_DIR "/tests/data/bad/";
constexpr char kSample[] = PENSTOCK_SOURCE_DIR "/data/sample/";

DocumentChunk parse(ByteChunk chunk, const Options& options = {}) {
  return BuiltTransform(register_parse, "parse", options).process<DocumentChunk>(std::move(chunk));
}

DocumentChunk parse_jsonl(std::string_view text) {
  return parse(make_byte_chunk(text));
}

DocumentChunk parse_txt(std::string_view text) {
  return parse(make_byte_chunk(text), {{"format", std::string("txt")}});
}

std::vector<std::string> texts(const DocumentChunk& chunk) {
  std::vector<std::string> all;
  for (const Document& document : chunk.documents) {
    all.emplace_back(document.text);
  }
  return all;
}

std::vector<std::string> split(std::string_view text, char delimiter) {
  std::vector<std::string> parts;
  std::istringstream stream{std::string(text)};
  for (std::string part; std::getline(stream, part, delimiter);) {
    parts.push_back(part);
  }
  return parts;
}

// A row of tests/data/bad/README.md.
struct OddFile {
  std::string name;
  std::size_t good = 0;
  std::size_t bad = 0;
};

std::size_t to_number(const std::string& cell) {
  std::size_t number = 0;
  const std::size_t begin = cell.find_first_not_of(' ');
  std::from_chars(cell.data() + begin, cell.data() + cell.size(), number);
  return number;
}

// The files whose oddity lies in their lines, with what a strict reader makes of them.
std::vector<OddFile> odd_files() {
  std::vector<OddFile> files;
  for (const std::string& row : split(read_file(kOddFiles + std::string("README.md")), '\n')) {
    if (row.starts_with("| line_") || row.starts_with("| json_") || row.starts_with("| tok_")) {
      const std::vector<std::string> cells = split(row, '|');
      OddFile file{cells.at(1).substr(1, cells[1].size() - 2),
                   to_number(cells.at(7)),
                   to_number(cells.at(8))};
      if (file.name == "json_nan.jsonl.zst") {  // good for Python only
        --file.good;
        ++file.bad;
      }
      files.push_back(std::move(file));
    }
  }
  return files;
}

void expect_right_positions(const DocumentChunk& chunk, std::string_view bytes) {
  const auto line_at = [&](std::int64_t byte_offset) {
    const std::string_view rest = bytes.substr(static_cast<std::size_t>(byte_offset));
    return rest.substr(0, rest.find('\n'));
  };
  // 0 where no line begins.
  const auto line_number = [&](std::int64_t byte_offset) {
    const std::string_view before = bytes.substr(0, static_cast<std::size_t>(byte_offset));
    return before.empty() || before.ends_with('\n') ? 1 + std::ranges::count(before, '\n') : 0;
  };
  std::set<std::int64_t> records;
  for (const Document& document : chunk.documents) {
    EXPECT_EQ(line_number(document.byte_offset), document.record);
    records.insert(document.record);
  }
  for (const Reject& reject : chunk.rejects) {
    EXPECT_EQ(line_number(reject.position.byte_offset), reject.position.record);
    EXPECT_EQ(line_at(reject.position.byte_offset), reject.raw);
    EXPECT_EQ(reject.raw_bytes, std::ssize(reject.raw));
    EXPECT_THAT(reject.reason, Not(IsEmpty()));
    EXPECT_EQ(*reject.position.shard, "shard.jsonl");
    records.insert(reject.position.record);
  }
  EXPECT_THAT(records, SizeIs(chunk.documents.size() + chunk.rejects.size()));
}

TEST(Parse, FindsTheGoodAndTheBadLinesOfEveryOddFile) {
  const std::vector<OddFile> files = odd_files();
  ASSERT_THAT(files, SizeIs(Ge(90U)));
  for (const OddFile& file : files) {
    SCOPED_TRACE(file.name);
    const std::string bytes = read_zstd_file(kOddFiles + file.name);
    const DocumentChunk chunk = parse_jsonl(bytes);
    EXPECT_THAT(chunk.documents, SizeIs(file.good));
    EXPECT_THAT(chunk.rejects, SizeIs(file.bad));
    expect_right_positions(chunk, bytes);
  }
}

TEST(Parse, ReadsWhatAnotherParserReads) {
  for (const char* shard : {"sample_00.jsonl.zst", "sample_01.jsonl.zst"}) {
    const std::string bytes = read_zstd_file(kSample + std::string(shard));
    std::vector<std::string> expected;
    for (const std::string& line : split(bytes, '\n')) {
      expected.push_back(nlohmann::json::parse(line).at("text").get<std::string>());
    }
    const DocumentChunk chunk = parse_jsonl(bytes);
    EXPECT_THAT(chunk.rejects, IsEmpty());
    EXPECT_EQ(texts(chunk), expected);
  }
}

TEST(Parse, UsesOneInstanceForManyChunks) {
  BuiltTransform stage(register_parse, "parse", {});
  for (int i = 0; i < 3; ++i) {
    const auto chunk =
        stage.process<DocumentChunk>(make_byte_chunk("{\"text\":\"a\"}\n{}\n{\"text\":\"b\"}\n"));
    EXPECT_THAT(texts(chunk), ElementsAre("a", "b"));
    EXPECT_THAT(chunk.rejects, SizeIs(1));
  }
}

TEST(Parse, DoesNotCopyTextsWithoutEscapes) {
  ByteChunk chunk = make_byte_chunk("{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
  const std::size_t capacity = chunk.bytes.capacity();
  const char* begin = chunk.bytes.data();
  const char* end = begin + chunk.bytes.size();
  const DocumentChunk parsed = parse(std::move(chunk));
  ASSERT_THAT(texts(parsed), ElementsAre("one", "two"));
  for (const Document& document : parsed.documents) {
    EXPECT_GE(document.text.data(), begin);
    EXPECT_LT(document.text.data(), end);
  }
  EXPECT_EQ(parsed.arena.size(), capacity);
}

TEST(Parse, TellsTextsWithAndWithoutEscapesApartInOneChunk) {
  const DocumentChunk parsed = parse_jsonl(
      "{\"text\":\"a\\tb\"}\n{\"text\":\"plain\"}\n{\"text\":\"\"}\n"
      "{\"text\":\"\\ud83d\\ude00\"}\n{\"text\":\"more\"}\n");
  EXPECT_THAT(texts(parsed), ElementsAre("a\tb", "plain", "", "\xf0\x9f\x98\x80", "more"));
}

TEST(Parse, GivesEachChunkMemoryOfItsOwn) {
  BuiltTransform parse(register_parse, "parse", {});
  std::vector<DocumentChunk> chunks;
  for (int i = 0; i < 5; ++i) {
    const std::string word(static_cast<std::size_t>(100 * (i + 1)), static_cast<char>('a' + i));
    chunks.push_back(parse.process<DocumentChunk>(
        make_byte_chunk("{\"text\":\"\\n" + word + "\"}\n{\"text\":\"" + word + "\"}\n")));
  }
  for (int i = 0; i < 5; ++i) {
    const std::string word(static_cast<std::size_t>(100 * (i + 1)), static_cast<char>('a' + i));
    EXPECT_THAT(texts(chunks[static_cast<std::size_t>(i)]), ElementsAre("\n" + word, word));
  }
}

TEST(Parse, KeepsWhatTheChunkCarriesAndItsRejects) {
  ByteChunk bytes = make_byte_chunk("{\"text\":\"four\"}\nrubbish\n");
  bytes.position.record = 3;
  bytes.position.byte_offset = 100;
  bytes.num_records = 3;
  Reject too_long;
  too_long.position = bytes.position;
  too_long.reason = "too long";
  too_long.raw = "{\"te";
  too_long.raw_bytes = 5000;
  too_long.stage = "read";
  bytes.rejects.push_back(std::move(too_long));

  const DocumentChunk chunk = parse(std::move(bytes));

  EXPECT_EQ(chunk.num_records, 3);
  EXPECT_EQ(chunk.position.record, 3);
  EXPECT_EQ(chunk.position.byte_offset, 100);
  ASSERT_THAT(chunk.documents, SizeIs(1));
  EXPECT_EQ(chunk.documents[0].record, 4);
  EXPECT_EQ(chunk.documents[0].byte_offset, 5101);
  ASSERT_THAT(chunk.rejects, SizeIs(2));
  EXPECT_EQ(chunk.rejects[0].reason, "too long");
  EXPECT_EQ(chunk.rejects[0].stage, "read");
  EXPECT_EQ(chunk.rejects[1].raw, "rubbish");
  EXPECT_EQ(chunk.rejects[1].position.record, 5);
  EXPECT_EQ(chunk.rejects[1].position.byte_offset, 5117);
}

TEST(Parse, KeepsTheRejectsOfAChunkWithoutBytes) {
  for (const char* format : {"jsonl", "txt"}) {
    ByteChunk bytes = make_byte_chunk("");
    bytes.num_records = 1;
    bytes.rejects.push_back({bytes.position, "damaged", "", 0, "read"});
    const DocumentChunk chunk = parse(std::move(bytes), {{"format", std::string(format)}});
    EXPECT_THAT(chunk.documents, IsEmpty());
    EXPECT_THAT(chunk.rejects, SizeIs(1));
    EXPECT_EQ(chunk.num_records, 1);
    EXPECT_EQ(chunk.arena.size(), 0U);
  }
}

TEST(Parse, TakesAFileAsOneJsonRecord) {
  ByteChunk bytes = make_byte_chunk("{\n  \"text\": \"a\",\n  \"b\": []\n}\n");
  bytes.delimiter = RecordDelimiter::kFile;
  EXPECT_THAT(texts(parse(std::move(bytes))), ElementsAre("a"));
}

TEST(Parse, FollowsAPointer) {
  const DocumentChunk chunk =
      parse(make_byte_chunk(
                "{\"content\":{\"body\":\"a\"}}\n{\"content\":{\"body\":1}}\n{\"body\":\"b\"}\n"),
            {{"text", std::string("/content/body")}});
  EXPECT_THAT(texts(chunk), ElementsAre("a"));
  ASSERT_THAT(chunk.rejects, SizeIs(2));
  EXPECT_EQ(chunk.rejects[0].reason, "the field '/content/body' is a number, expected a string");
  EXPECT_EQ(chunk.rejects[1].reason, "the field '/content/body' is missing");
}

TEST(Parse, RefusesAMalformedFieldBeforeTheRun) {
  for (const char* field : {"", "/a~2b"}) {
    EXPECT_THROW(BuiltTransform(register_parse, "parse", {{"text", std::string(field)}}),
                 ConfigError)
        << field;
  }
}

TEST(Parse, TakesEveryLineOfATextFileWithoutItsLineEnd) {
  const DocumentChunk chunk = parse_txt("one\r\n\n  two \n\t\r\nth\rree\r");
  EXPECT_THAT(texts(chunk), ElementsAre("one", "  two ", "th\rree"));
  ASSERT_THAT(chunk.documents, SizeIs(3));
  EXPECT_EQ(chunk.documents[1].record, 3);
  EXPECT_EQ(chunk.documents[1].byte_offset, 6);
  EXPECT_EQ(chunk.documents[2].record, 5);
  EXPECT_EQ(chunk.documents[2].byte_offset, 16);
}

TEST(Parse, TakesAWholeTextFileAsItIs) {
  ByteChunk bytes = make_byte_chunk("one\r\n\ntwo\n");
  bytes.delimiter = RecordDelimiter::kFile;
  EXPECT_THAT(texts(parse(std::move(bytes), {{"format", std::string("txt")}})),
              ElementsAre("one\r\n\ntwo\n"));
}

TEST(Parse, DoesNotCopyTextLines) {
  ByteChunk bytes = make_byte_chunk("one\ntwo\n");
  const char* const address = bytes.bytes.data();
  const DocumentChunk chunk = parse(std::move(bytes), {{"format", std::string("txt")}});
  ASSERT_THAT(chunk.documents, SizeIs(2));
  EXPECT_EQ(chunk.documents[0].text.data(), address);
  EXPECT_EQ(chunk.documents[1].text.data(), address + 4);
}

TEST(Parse, RefusesTextThatIsNotUtf8) {
  const DocumentChunk chunk = parse_txt("good\nna\xefve\r\nalso good\n");
  EXPECT_THAT(texts(chunk), ElementsAre("good", "also good"));
  ASSERT_THAT(chunk.rejects, SizeIs(1));
  EXPECT_EQ(chunk.rejects[0].reason, "invalid UTF-8 at byte 2 of the record (0xef)");
  EXPECT_EQ(chunk.rejects[0].raw, "na\xefve\r");
  EXPECT_EQ(chunk.rejects[0].position.record, 2);
  EXPECT_EQ(chunk.rejects[0].position.byte_offset, 5);
}

}  // namespace
}  // namespace penstock
