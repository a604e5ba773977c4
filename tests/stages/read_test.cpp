#include "stages/read.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/stages/compress.h"
#include "tests/stages/redirected_input.h"
#include "tests/temporary_folder.h"

namespace penstock {
namespace {

using testing::gzip;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RedirectedInput;
using testing::zstd;
using testing::zstd_frames;
using testing::zstd_run;

using Values = std::map<std::string, OptionValue>;

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;

// A built `read` stage and what it reports to.
class Reader {
 public:
  explicit Reader(const std::vector<std::string>& paths,
                  const Values& options = {},
                  FileClaims files = {},
                  int threads = 1)
      : files_(std::move(files)) {
    StageRegistry registry;
    register_read(registry);
    const StageType& type = *registry.find("read");
    Values values;
    for (const Option& option : type.options) {
      values[option.name] = option.default_value.value_or(paths);
    }
    for (const auto& [name, value] : options) {
      values.at(name) = value;
    }
    const BuildContext context{stream_, metrics_, metrics_.add("read", 1), files_, threads};
    source_ = std::get<SourceFactory>(type.factory)(
        StageConfig("read", "test.yaml:1:1", values, {}), context);
  }

  Source& source() { return *source_; }
  const FileClaims& files() const { return files_; }
  const StageMetrics& row(std::size_t index) const { return metrics_.rows().at(index); }

  std::optional<ByteChunk> next(int lane = 0) {
    std::optional<Chunk> chunk = source_->next(lane, {});
    if (!chunk) {
      return std::nullopt;
    }
    return std::get<ByteChunk>(std::move(*chunk));
  }

  std::vector<ByteChunk> all(int lane = 0) {
    std::vector<ByteChunk> chunks;
    while (auto chunk = next(lane)) {
      chunks.push_back(std::move(*chunk));
    }
    return chunks;
  }

 private:
  StreamInfo stream_;
  Metrics metrics_;
  FileClaims files_;
  std::unique_ptr<Source> source_;
};

// A chunk as a value that compares and prints.
struct Cut {
  std::string bytes;
  std::int64_t record = 0;
  std::int64_t byte_offset = 0;
  std::int64_t num_records = 0;
  bool operator==(const Cut&) const = default;
};

void PrintTo(const Cut& cut, std::ostream* out) {
  *out << cut.num_records << " records from " << cut.record << ", " << cut.bytes.size()
       << " bytes from " << cut.byte_offset;
}

std::vector<Cut> cuts(const std::vector<ByteChunk>& chunks) {
  std::vector<Cut> cuts;
  for (const ByteChunk& chunk : chunks) {
    EXPECT_THAT(chunk.rejects, IsEmpty());
    cuts.push_back({std::string(chunk.bytes.view()),
                    chunk.position.record,
                    chunk.position.byte_offset,
                    chunk.num_records});
  }
  return cuts;
}

// What the cutting rule says, in the plainest way.
std::vector<Cut> expected_cuts(const std::string& text, std::size_t chunk_size) {
  std::vector<Cut> cuts;
  Cut cut{"", 1, 0, 0};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    cut.bytes += text.substr(at, end - at);
    ++cut.num_records;
    at = end;
    if (cut.bytes.size() >= chunk_size || at == text.size()) {
      cuts.push_back(cut);
      cut = {"", cut.record + cut.num_records, static_cast<std::int64_t>(at), 0};
    }
  }
  return cuts;
}

// Lines of many lengths, blank ones among them, some with CR, the last one without an end.
std::string sample_lines(std::size_t size) {
  std::mt19937 random(11);
  std::string text;
  while (text.size() < size) {
    const std::size_t length = random() % 5 == 0 ? 0 : random() % (random() % 20 == 0 ? 9000 : 300);
    while (text.size() % 997 < length % 997) {
      text += static_cast<char>('a' + random() % 26);
    }
    text += std::string(length, 'x') + (random() % 9 == 0 ? "\r\n" : "\n");
  }
  return text + "the last line";
}

class ReadTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view content) const {
    std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  const TemporaryFolder temporary_folder_;
  const std::string folder_ = temporary_folder_.path();
};

TEST_F(ReadTest, CutsByContentWhateverTheFormat) {
  const std::string text = sample_lines(300'000);
  const std::string middle = text.substr(0, 100'001);
  const std::vector<std::string> paths = {
      write("plain", text),
      write("zstd", zstd(text)),
      write("frames", zstd_frames(text, 4999)),
      write("gzip", gzip(text)),
      write("members", gzip(middle) + gzip(text.substr(middle.size()))),
  };
  for (const std::int64_t chunk_size : {4 * kKiB, 5003L, 64 * kKiB, 256 * kKiB, 64 * kMiB}) {
    const auto expected = expected_cuts(text, static_cast<std::size_t>(chunk_size));
    for (const std::string& path : paths) {
      for (const std::int64_t max_document : {16 * kMiB, 20'000L}) {  // no line is longer
        Reader reader({path}, {{"chunk_size", chunk_size}, {"max_document", max_document}});
        EXPECT_EQ(cuts(reader.all()), expected) << path << ", " << chunk_size;
      }
    }
  }
}

TEST_F(ReadTest, CutsByContentHoweverAPipeIsFed) {
  const std::string text = sample_lines(200'000);
  for (const std::string& stored : {text, zstd_frames(text, 30'011), gzip(text)}) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    std::thread writer([&stored, &ends] {
      constexpr std::size_t kSteps[] = {1, 3, 997, 5, 4096, 70'001};
      std::size_t step = 0;
      for (std::size_t at = 0; at < stored.size();) {
        const std::size_t size = std::min(kSteps[step++ % std::size(kSteps)], stored.size() - at);
        const ssize_t written = ::write(ends[1], stored.data() + at, size);
        at += written > 0 ? static_cast<std::size_t>(written) : 0;
      }
      close(ends[1]);
    });
    Reader reader({"/dev/fd/" + std::to_string(ends[0])}, {{"chunk_size", 10'000L}});
    EXPECT_EQ(cuts(reader.all()), expected_cuts(text, 10'000));
    EXPECT_EQ(reader.source().total_bytes(), std::nullopt);
    writer.join();
    close(ends[0]);
  }
}

TEST_F(ReadTest, ReadsStandardInputAndLeavesItOpen) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "a\nb\n", 4), 4);
  close(ends[1]);
  const RedirectedInput redirected(ends[0]);
  const int flags = fcntl(STDIN_FILENO, F_GETFL);
  std::vector<ByteChunk> chunks;
  {
    Reader reader({"-"});
    EXPECT_EQ(reader.source().total_bytes(), std::nullopt);
    chunks = reader.all();
    EXPECT_EQ(reader.source().lanes(), 1);  // whatever the option says
  }
  EXPECT_EQ(fcntl(STDIN_FILENO, F_GETFL), flags);
  EXPECT_EQ(cuts(chunks), (std::vector<Cut>{{"a\nb\n", 1, 0, 2}}));
  EXPECT_EQ(*chunks.at(0).position.shard, "(standard input)");
}

TEST_F(ReadTest, MeasuresStandardInputFromWhereReadingBegins) {
  const std::string damaged = zstd("1\n") + "no frame";
  const int file = open(write("shard", "0123456789" + damaged).c_str(), O_RDONLY);
  ASSERT_EQ(lseek(file, 10, SEEK_SET), 10);
  const RedirectedInput redirected(file);
  Reader reader({"-"});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_EQ(chunks[0].bytes.view(), "1\n");
  ASSERT_EQ(chunks[0].rejects.size(), 1U);
  EXPECT_THAT(chunks[0].rejects[0].reason,
              HasSubstr("(8 of " + std::to_string(damaged.size()) + " compressed bytes)"));
}

TEST_F(ReadTest, KeepsLineEndsAsTheyAre) {
  Reader reader({write("shard", "a\r\n\n  \nb\r\rc")});
  EXPECT_EQ(cuts(reader.all()), (std::vector<Cut>{{"a\r\n\n  \nb\r\rc", 1, 0, 4}}));
}

TEST_F(ReadTest, GivesNoChunkForAShardWithoutText) {
  Reader reader({write("frame", zstd("")), write("member", gzip(""))}, {{"lanes", 1L}});
  EXPECT_THAT(reader.all(), IsEmpty());
}

TEST_F(ReadTest, NeverPutsTwoShardsIntoAChunk) {
  const std::string first = write("first", "1\n2");
  const std::string second = write("second", "3\n");
  Reader reader({first, second}, {{"lanes", 1L}});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 2U);
  EXPECT_EQ(*chunks[0].position.shard, first);
  EXPECT_EQ(chunks[0].bytes.view(), "1\n2");
  EXPECT_EQ(*chunks[1].position.shard, second);
  EXPECT_EQ(chunks[1].bytes.view(), "3\n");
}

TEST_F(ReadTest, DealsTheShardsToTheLanes) {
  std::vector<std::string> paths;
  for (const char* content : {"0\n", "1\n", "2\n", "3\n", "4\n"}) {
    paths.push_back(write(std::string(content, 1), content));
  }
  Reader reader(paths, {{"lanes", 3L}});
  ASSERT_EQ(reader.source().lanes(), 3);
  const auto texts = [&reader](int lane) {
    std::string joined;
    for (const ByteChunk& chunk : reader.all(lane)) {
      joined += chunk.bytes.view();
    }
    return joined;
  };
  EXPECT_EQ(texts(2), "2\n");
  EXPECT_EQ(texts(0), "0\n3\n");
  EXPECT_EQ(texts(1), "1\n4\n");
}

TEST_F(ReadTest, TakesAWholeShardAsARecord) {
  const std::string text = sample_lines(700'000);
  const std::string path = write("shard", zstd_frames(text, 100'000));
  Reader reader({path}, {{"records", std::string("file")}});
  const std::vector<ByteChunk> chunks = reader.all();
  EXPECT_EQ(cuts(chunks), (std::vector<Cut>{{text, 1, 0, 1}}));
  EXPECT_EQ(chunks.at(0).delimiter, RecordDelimiter::kFile);

  Reader strict({path}, {{"records", std::string("file")}, {"max_document", 1000L}});
  const std::vector<ByteChunk> refused = strict.all();
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_TRUE(refused[0].bytes.empty());
  EXPECT_EQ(refused[0].num_records, 1);
  ASSERT_EQ(refused[0].rejects.size(), 1U);
  EXPECT_EQ(refused[0].rejects[0].raw_bytes, std::ssize(text));
}

TEST_F(ReadTest, RefusesARecordThatIsTooLong) {
  const std::string exact(1000, 'e');
  const std::string longer(1001, 'l');
  Reader reader({write("shard", exact + "\n" + longer + "\nshort\n" + longer)},
                {{"max_document", 1000L}});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_EQ(chunks[0].bytes.view(), exact + "\nshort\n");
  EXPECT_EQ(chunks[0].num_records, 4);
  ASSERT_EQ(chunks[0].rejects.size(), 2U);
  const Reject& first = chunks[0].rejects[0];
  EXPECT_EQ(first.position.record, 2);
  EXPECT_EQ(first.position.byte_offset, 1001);
  EXPECT_EQ(first.raw, longer.substr(0, 80));
  EXPECT_EQ(first.raw_bytes, 1001);
  EXPECT_EQ(first.reason, "record of 1001 bytes is longer than max_document (1kB)");
  EXPECT_EQ(chunks[0].rejects[1].position.record, 4);
  EXPECT_EQ(chunks[0].rejects[1].position.byte_offset, 1001 + 1002 + 6);
}

TEST_F(ReadTest, EndsAChunkWithThe64thRecordThatIsTooLong) {
  std::string text;
  for (int i = 0; i < 150; ++i) {
    text += "too long\nok\n";
  }
  Reader reader({write("shard", text)}, {{"max_document", 2L}});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 3U);
  EXPECT_EQ(chunks[0].rejects.size(), 64U);
  EXPECT_EQ(chunks[0].num_records, 127);
  EXPECT_EQ(chunks[1].position.record, 128);
  EXPECT_EQ(chunks[1].position.byte_offset, 127 * 6 + 3);
  EXPECT_EQ(chunks[1].bytes.view().substr(0, 6), "ok\nok\n");
  EXPECT_EQ(chunks[2].rejects.size(), 22U);
  EXPECT_EQ(chunks[2].num_records, 300 - 127 - 128);
}

TEST_F(ReadTest, SkipsABombWithoutHoldingIt) {
  constexpr std::int64_t kBomb = 200'000'000;
  Reader reader({write("shard", zstd_run("before\n", 'a', kBomb, "\nafter\n"))});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_EQ(chunks[0].bytes.view(), "before\nafter\n");
  EXPECT_EQ(chunks[0].num_records, 3);
  EXPECT_LE(chunks[0].bytes.capacity(), 1024U);
  ASSERT_EQ(chunks[0].rejects.size(), 1U);
  EXPECT_EQ(chunks[0].rejects[0].raw_bytes, kBomb);
  EXPECT_EQ(chunks[0].rejects[0].raw, std::string(80, 'a'));
  EXPECT_EQ(chunks[0].rejects[0].reason,
            "record of 200000000 bytes is longer than max_document (8MiB)");
}

TEST_F(ReadTest, CutsManyEmptyLines) {
  constexpr std::int64_t kLines = 20'000'000;
  Reader reader({write("shard", zstd_run("", '\n', kLines, ""))});
  std::int64_t lines = 0;
  while (const auto chunk = reader.next()) {
    EXPECT_EQ(chunk->position.record, lines + 1);
    EXPECT_EQ(std::ssize(chunk->bytes.view()), chunk->num_records);
    EXPECT_LE(chunk->bytes.capacity(), 300U * 1024);
    lines += chunk->num_records;
  }
  EXPECT_EQ(lines, kLines);
}

TEST_F(ReadTest, AllocatesLittleMoreThanAChunkHolds) {
  const std::string long_record(3'000'000, 'r');
  const std::string text = sample_lines(1'000'000) + "\n" + long_record + "\n" + "tail\n";
  Reader reader({write("shard", zstd(text))});
  const std::vector<ByteChunk> chunks = reader.all();
  EXPECT_GE(chunks.size(), 4U);
  for (const ByteChunk& chunk : chunks) {
    EXPECT_LE(chunk.bytes.capacity(), chunk.bytes.size() + chunk.bytes.size() / 4);
  }
}

TEST_F(ReadTest, GoesOnWithTheNextShardAfterDamage) {
  std::string damaged = zstd("1\n2\n") + zstd("3\n");
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  const std::string first = write("first", damaged);
  Reader reader({first, write("second", "4\n")}, {{"lanes", 1L}});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 2U);
  EXPECT_EQ(chunks[0].bytes.view(), "1\n2\n");
  EXPECT_EQ(chunks[0].num_records, 3);
  ASSERT_EQ(chunks[0].rejects.size(), 1U);
  EXPECT_EQ(to_string(chunks[0].rejects[0].position), first + ", record 3, byte 4");
  EXPECT_EQ(chunks[1].bytes.view(), "4\n");
  EXPECT_THAT(chunks[1].rejects, IsEmpty());
}

TEST_F(ReadTest, ShowsTheRecordAtWhichAShardIsCutShort) {
  const std::string half(100'000, 'h');
  const std::string stored = zstd("whole\n" + half) + zstd("rest\n").substr(0, 6);
  Reader reader({write("shard", stored)});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_TRUE(chunks[0].bytes.view() == "whole\n");
  EXPECT_EQ(chunks[0].num_records, 2);
  ASSERT_EQ(chunks[0].rejects.size(), 1U);
  const Reject& reject = chunks[0].rejects[0];
  EXPECT_THAT(reject.reason, HasSubstr("cut short: the file ends inside the zstd frame"));
  EXPECT_EQ(reject.position.record, 2);
  EXPECT_EQ(reject.position.byte_offset, 6);
  EXPECT_TRUE(reject.raw == half.substr(0, 64 * 1024));
  EXPECT_EQ(reject.raw_bytes, std::ssize(half));
}

// Lines of random letters, which take much room when they are stored.
std::string random_lines(std::size_t size) {
  std::mt19937 random(5);
  std::string text;
  while (text.size() < size) {
    text += random() % 100 == 0 ? '\n' : static_cast<char>('!' + random() % 90);
  }
  return text + '\n';
}

// All that a reader tells about its shards.
std::vector<std::string> told(Reader& reader) {
  std::vector<std::string> lines;
  for (const ByteChunk& chunk : reader.all()) {
    lines.push_back(to_string(chunk.position) + ", " + std::to_string(chunk.num_records) + ": " +
                    std::string(chunk.bytes.view()));
    for (const Reject& reject : chunk.rejects) {
      lines.push_back(to_string(reject.position) + ": " + reject.reason + ": " + reject.raw);
    }
  }
  lines.push_back(std::to_string(reader.row(1).bytes_out) + " bytes in all");
  return lines;
}

TEST_F(ReadTest, TellsTheSameHoweverManyThreadsDecompressFrames) {
  const std::string text = random_lines(2'000'000);
  const std::string skippable = std::string("\x53\x2a\x4d\x18\x05\x00\x00\x00", 8) + "index";
  const std::string frames = zstd_frames(text, 700'000);
  std::string damaged = frames;
  damaged[damaged.size() * 3 / 4] ^= 1;
  std::string wrong_checksum = zstd(text) + zstd(text) + frames;
  wrong_checksum[2 * zstd(text).size() - 1] ^= 1;
  const std::map<std::string, std::string> shards = {
      {"frames", frames},
      {"small_frames", zstd_frames(text, 5'000)},
      {"one_frame", zstd(text)},
      {"large_and_small", zstd(text) + zstd_frames(text, 100'000) + zstd(text)},
      {"skippable", skippable + zstd(text) + skippable + zstd(text) + skippable + frames},
      {"empty_frames", zstd("") + zstd("") + frames + zstd("")},
      {"bomb", frames + zstd_run("begin\n", ' ', 40'000'000, "\nend\n") + frames},
      {"damaged", damaged},
      {"wrong_checksum", wrong_checksum},
      {"cut_short", (frames + frames).substr(0, frames.size() * 5 / 3)},
      {"no_frame_behind", frames + frames + "what is this?"},
      {"old_frame_behind", frames + frames + "\x27\xb5\x2f\xfd\x10\x00\x01\x00"},
  };
  for (const auto& [name, stored] : shards) {
    const std::vector<std::string> paths = {write(name, stored), write("next", zstd("next\n"))};
    const Values options = {
        {"lanes", 1L}, {"chunk_size", 100 * kKiB}, {"max_document", 200 * kKiB}};
    Reader one(paths, options, {}, 1);
    const std::vector<std::string> expected = told(one);
    EXPECT_NE(expected.back(), "0 bytes in all");
    for (const int threads : {2, 5, 64}) {
      Reader several(paths, options, {}, threads);
      EXPECT_TRUE(told(several) == expected) << name << " with " << threads << " threads";
    }
  }
}

TEST_F(ReadTest, RefusesAWindowThatIsTooLargeHoweverManyThreadsThereAre) {
  const std::string text = random_lines(1'500'000);
  const std::vector<std::string> paths = {write("shard", zstd_frames(text, 500'000))};
  const Values options = {{"lanes", 1L}, {"max_window", 128 * kKiB}};
  Reader one(paths, options, {}, 1);
  Reader several(paths, options, {}, 4);
  const std::vector<std::string> expected = told(one);
  EXPECT_THAT(expected.at(0) + expected.at(1), HasSubstr("more than max_window"));
  EXPECT_EQ(told(several), expected);
}

TEST_F(ReadTest, RejectsAFileThatHasVanished) {
  const std::string path = write("shard", "text\n");
  Reader reader({path, write("other", "more\n")}, {{"lanes", 1L}});
  std::filesystem::remove(path);
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 2U);
  ASSERT_EQ(chunks[0].rejects.size(), 1U);
  EXPECT_EQ(*chunks[0].rejects[0].position.shard, path);
  EXPECT_EQ(chunks[0].rejects[0].reason, "cannot open the shard: No such file or directory");
  EXPECT_EQ(chunks[1].bytes.view(), "more\n");
}

TEST_F(ReadTest, RejectsAShardThatCannotBeRead) {
  const std::string path = write("shard", "text\n");
  Reader reader({path});
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 1U);
  ASSERT_EQ(chunks[0].rejects.size(), 1U);
  EXPECT_THAT(chunks[0].rejects[0].reason,
              HasSubstr("cannot read on from compressed byte 0: Is a directory"));
}

TEST_F(ReadTest, ReturnsSoonWhenStoppedOnASilentPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "a line\n", 7), 7);
  Reader reader({"/dev/fd/" + std::to_string(ends[0])});
  std::stop_source stop;
  std::optional<Chunk> chunk;
  std::thread waiting([&] { chunk = reader.source().next(0, stop.get_token()); });
  for (int unread = 1; unread > 0;) {  // until it has taken the line and waits for more
    ASSERT_EQ(ioctl(ends[0], FIONREAD, &unread), 0);
    std::this_thread::yield();
  }
  stop.request_stop();
  const auto start = std::chrono::steady_clock::now();
  waiting.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_FALSE(chunk.has_value());
  close(ends[0]);
  close(ends[1]);
}

TEST_F(ReadTest, CountsBytesBeforeAndAfterDecompression) {
  const std::string text = sample_lines(400'000);
  const std::string stored = zstd(text);
  Reader reader({write("shard", stored), write("plain", text)}, {{"lanes", 2L}});
  const std::int64_t total = std::ssize(stored) + std::ssize(text);
  EXPECT_EQ(reader.source().total_bytes(), total);
  const std::size_t chunks = reader.all(0).size() + reader.all(1).size();
  EXPECT_EQ(reader.row(0).bytes_in, total);
  EXPECT_GT(reader.row(0).busy.total_ns(), 0);
  EXPECT_EQ(reader.row(1).name, "decompress");
  EXPECT_EQ(reader.row(1).width, 2);
  EXPECT_EQ(reader.row(1).bytes_in, total);
  EXPECT_EQ(reader.row(1).bytes_out, 2 * std::ssize(text));
  EXPECT_EQ(reader.row(1).chunks, static_cast<std::int64_t>(chunks));
  EXPECT_GT(reader.row(1).busy.total_ns(), 0);
}

TEST_F(ReadTest, TellsWhichFilesItReads) {
  const std::string first = write("first", "1\n");
  const std::string second = write("second", "2\n");
  const std::string other = write("other", "3\n");
  const Reader reader({first, second});
  EXPECT_TRUE(reader.files().is_input(first));
  EXPECT_TRUE(reader.files().is_input(second));
  EXPECT_FALSE(reader.files().is_input(other));
}

TEST_F(ReadTest, RefusesEveryShardThatTheRunWrites) {
  const std::string first = write("first", "1\n");
  const std::string second = write("second", "2\n");
  FileClaims files;
  files.add_output(first);
  files.add_output(second);
  try {
    Reader({first, write("other", "3\n"), second}, {}, files);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    ASSERT_EQ(error.issues().size(), 2U);
    EXPECT_EQ(error.issues()[0].message,
              "option 'paths' of stage 'read': '" + first + "' is also an output of this run");
    EXPECT_THAT(error.issues()[1].message, HasSubstr("'" + second + "' is also an output"));
  }
}

TEST_F(ReadTest, RefusesAnEmptyListOfPaths) {
  try {
    Reader({});
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    ASSERT_EQ(error.issues().size(), 1U);
    EXPECT_EQ(error.issues()[0].message,
              "option 'paths' of stage 'read': got '[]', expected at least one path");
  }
}

TEST_F(ReadTest, ReportsEveryWrongOptionAtOnce) {
  try {
    Reader({"/nowhere/a", "/nowhere/b"}, {{"max_window", 100'000'000L}});
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    ASSERT_EQ(error.issues().size(), 3U);
    EXPECT_THAT(error.issues()[0].message,
                HasSubstr("'max_window' of stage 'read': got 100000000, expected a power of two, "
                          "such as 128MiB"));
    EXPECT_THAT(error.issues()[1].message, HasSubstr("'/nowhere/a': No such file or directory"));
    EXPECT_THAT(error.issues()[2].message, HasSubstr("'/nowhere/b': No such file or directory"));
  }
}

// What becomes of a file of tests/data/bad.
struct Outcome {
  std::string file;
  std::int64_t lines = 0;           // delivered
  std::vector<std::string> reason;  // words of the reject; none: no reject
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << outcome.file;
}

std::vector<Outcome> outcomes() {
  const std::string damaged = "zstd frame at compressed byte 0 is damaged";
  const std::string cut_short = "cut short: the file ends inside the zstd frame";
  const std::string after = "what follows the last zstd frame, at compressed byte 492";
  return {
      {"ok_single", 10, {}},
      {"ok_larger", 400, {}},
      {"zst_truncated_half", 0, {cut_short}},
      {"zst_truncated_last_byte", 400, {cut_short}},
      {"zst_truncated_no_checksum", 400, {cut_short}},
      {"zst_truncated_header", 0, {cut_short}},
      {"zst_truncated_magic", 0, {"cut short", "after 3 bytes"}},
      {"zst_second_frame_truncated", 10, {cut_short, "at compressed byte 492"}},
      {"zst_bitflip", 0, {damaged, "(2865 of 2865 compressed bytes)"}},
      {"zst_bitflip_nocheck", 0, {damaged}},
      {"zst_bitflip_raw_block_nocheck", 400, {}},
      {"zst_checksum_mismatch", 0, {damaged, "doesn't match checksum"}},
      {"zst_bad_magic", 0, {"not text: begins with 29 b5 2f fd", "not a known compression"}},
      {"zst_legacy_magic_v07", 0, {"zstd data of a version before 0.8", "27 b5 2f fd"}},
      {"zst_reserved_bit", 0, {damaged, "Unsupported frame parameter"}},
      {"zst_reserved_block_type", 0, {damaged}},
      {"zst_block_too_large", 0, {damaged}},
      {"zst_window_long31", 0, {"window of 2GiB", "(128MiB)", "set max_window to 2GiB"}},
      {"zst_window_long31_real", 0, {"window of 2GiB", "set max_window to 2GiB"}},
      {"zst_window_long28", 0, {"window of 256MiB", "(128MiB)", "set max_window to 256MiB"}},
      {"zst_window_long27", 10, {}},
      {"zst_window_absurd", 0, {damaged, "window of 3840GiB"}},
      {"zst_fcs_lies_huge", 0, {damaged}},
      {"zst_fcs_lies_max", 0, {damaged, "window of 18446744073709551613 bytes"}},
      {"zst_fcs_lies_small", 0, {damaged}},
      {"zst_dictionary_id", 0, {"dictionary of id 3735928559", "not supported"}},
      {"zst_multiframe", 10, {}},
      {"zst_multiframe_midline", 10, {}},
      {"zst_multiframe_mixed_check", 20, {}},
      {"zst_multiframe_middle_corrupt",
       10,
       {"zstd frame at compressed byte 492 is damaged: Restored data doesn't match checksum; the "
        "rest of the shard is lost (984 of 1476 compressed bytes)"}},
      {"zst_empty_frames", 20, {}},
      {"zst_skippable_first", 10, {}},
      {"zst_skippable_all_kinds", 16, {}},
      {"zst_skippable_last", 10, {}},
      {"zst_skippable_only", 0, {}},
      {"zst_skippable_truncated", 10, {"cut short", "the skippable zstd frame", "byte 492"}},
      {"zst_skippable_4gib", 10, {"cut short", "the skippable zstd frame", "byte 492"}},
      {"zst_trailing_garbage", 10, {after, "74 68 69 73", "(16 of 508 compressed bytes)"}},
      {"zst_trailing_zeros", 10, {after, "00 00 00 00"}},
      {"zst_concatenated_no_newline", 19, {}},
      {"zst_concatenated", 420, {}},
      {"zst_double", 1, {}},
      {"zst_empty_content", 0, {}},
      {"file_empty", 0, {"the shard is empty (0 bytes)"}},
      {"file_one_byte", 0, {"cut short", "after 1 byte"}},
      {"file_gzip", 10, {}},
      {"file_xz", 0, {"xz data", "'xz -dc FILE | zstd"}},
      {"file_bz2", 0, {"bzip2 data", "'bzip2 -dc FILE | zstd"}},
      {"file_lz4_magic", 0, {"lz4 data", "'lz4 -dc FILE | zstd"}},
      {"file_plain", 10, {}},
      {"file_zeros", 0, {"not text: begins with 00 00 00 00", "not a known compression"}},
      {"file_html", 1, {}},
      {"file_lfs_pointer", 0, {"Git LFS pointer", "run 'git lfs pull'"}},
  };
}

std::string bad_file(const std::string& name) {
  return std::string(PENSTOCK_SOURCE_DIR) + "/tests/data/bad/" + name + ".jsonl.zst";
}

class ReadBadFileTest : public ::testing::TestWithParam<Outcome> {};

TEST_P(ReadBadFileTest, DeliversWhatIsGoodAndTellsWhatIsNot) {
  const Outcome& outcome = GetParam();
  const std::string path = bad_file(outcome.file);
  // With chunks of 4 KiB the damage is not always in the first one.
  for (const auto& [chunk_size, threads] :
       {std::pair(4 * kKiB, 1), std::pair(256 * kKiB, 1), std::pair(4 * kKiB, 4)}) {
    Reader reader({path}, {{"lanes", 1L}, {"chunk_size", chunk_size}}, {}, threads);
    std::int64_t lines = 0;
    std::vector<Reject> rejects;
    while (auto chunk = reader.next()) {
      EXPECT_TRUE(rejects.empty()) << "a chunk behind the damage";
      lines += chunk->num_records - std::ssize(chunk->rejects);
      std::move(chunk->rejects.begin(), chunk->rejects.end(), std::back_inserter(rejects));
    }
    EXPECT_EQ(lines, outcome.lines);
    ASSERT_EQ(rejects.size(), outcome.reason.empty() ? 0U : 1U);
    for (const Reject& reject : rejects) {
      EXPECT_EQ(*reject.position.shard, path);
      EXPECT_EQ(reject.position.record, outcome.lines + 1);
      for (const std::string& words : outcome.reason) {
        EXPECT_THAT(reject.reason, HasSubstr(words));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files,
                         ReadBadFileTest,
                         ::testing::ValuesIn(outcomes()),
                         [](const auto& test) { return test.param.file; });

TEST(ReadBadFilesTest, AreAllInTheTable) {
  std::set<std::string> known;
  for (const Outcome& outcome : outcomes()) {
    known.insert(outcome.file + ".jsonl.zst");
  }
  const std::string folder = std::string(PENSTOCK_SOURCE_DIR) + "/tests/data/bad";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("zst_") || name.starts_with("file_") || name.starts_with("ok_")) {
      EXPECT_TRUE(known.contains(name)) << name;
    }
  }
}

TEST(ReadBadFilesTest, ALargerMaxWindowReadsALongWindow) {
  Reader reader({bad_file("zst_window_long28")}, {{"max_window", 256 * kMiB}});
  const std::vector<ByteChunk> chunks = reader.all();
  ASSERT_EQ(chunks.size(), 1U);
  EXPECT_EQ(chunks[0].num_records, 10);
  EXPECT_THAT(chunks[0].rejects, IsEmpty());
}

}  // namespace
}  // namespace penstock
