#include "stages/decompressor.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/stages/compress.h"

namespace penstock {
namespace {

using testing::gzip;
using ::testing::HasSubstr;
using testing::zstd;
using testing::zstd_frames;

constexpr std::int64_t kMaxWindow = std::int64_t{128} << 20;

// Decompresses all of `stored`, given in pieces of `in_step` bytes with room for `out_step`.
std::string unpack(std::string_view stored,
                   std::size_t in_step = 1 << 17,
                   std::size_t out_step = 1 << 17) {
  const auto decompressor = make_decompressor(stored.substr(0, kDetectionBytes), kMaxWindow);
  std::string text;
  std::vector<char> output(out_step);
  for (std::size_t at = 0; at < stored.size(); at += in_step) {
    std::string_view input = stored.substr(at, in_step);
    Decompressor::Step step;
    do {
      step = decompressor->step(input, output);
      input.remove_prefix(step.consumed);
      text.append(output.data(), step.produced);
    } while (step.consumed > 0 || step.produced > 0);
    EXPECT_TRUE(input.empty());
  }
  decompressor->finish();
  return text;
}

std::string failure_of(std::string_view stored, std::size_t in_step = 1 << 17) {
  try {
    unpack(stored, in_step);
  } catch (const ShardError& error) {
    return error.what();
  }
  return "no error";
}

// Words in an order that compresses, but not to nothing.
std::string sample_text(std::size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) {
    text += "word" + std::to_string(random() % 5000) + (random() % 12 == 0 ? "\n" : " ");
  }
  text.resize(size);
  return text;
}

TEST(DecompressorTest, GivesTheSameTextForEveryFormatAndStep) {
  const std::string text = sample_text(50'000);
  const std::string skippable = std::string("\x53\x2a\x4d\x18\x05\x00\x00\x00", 8) + "index";
  const std::vector<std::string> forms = {
      text,
      zstd(text),
      zstd_frames(text, 777),
      skippable + zstd(text.substr(0, 1000)) + skippable + zstd(text.substr(1000)) + skippable,
      gzip(text),
      gzip(text.substr(0, 20'001)) + gzip("") + gzip(text.substr(20'001)),
  };
  for (const std::string& form : forms) {
    EXPECT_EQ(unpack(form), text);
    EXPECT_EQ(unpack(form, 1, 1 << 17), text);
    EXPECT_EQ(unpack(form, 1000, 7), text);
  }
}

// What comes out before the error, by steps with this much room.
std::string text_before_error(std::string_view stored, std::size_t out_step) {
  const auto decompressor = make_decompressor(stored.substr(0, kDetectionBytes), kMaxWindow);
  std::vector<char> output(out_step);
  std::string text;
  try {
    while (true) {
      const Decompressor::Step step = decompressor->step(stored, output);
      stored.remove_prefix(step.consumed);
      text.append(output.data(), step.produced);
      if (step.consumed + step.produced == 0) {
        ADD_FAILURE() << "no error";
        return text;
      }
    }
  } catch (const ShardError&) {
  }
  return text;
}

TEST(DecompressorTest, GivesEveryBlockBeforeTheDamagedOneHoweverLittleRoomThereIs) {
  constexpr std::size_t kBlock = std::size_t{1} << 17;
  const std::string text = sample_text(6 * kBlock);
  std::string stored = zstd(text);
  stored[stored.size() - 6] ^= 1;  // in the last block
  for (const std::size_t room : {std::size_t{1000}, std::size_t{100'000}, kBlock}) {
    const std::string before = text_before_error(stored, room);
    EXPECT_GE(before.size(), 5 * kBlock) << room;
    EXPECT_TRUE(text.starts_with(before)) << room;
  }
}

TEST(DecompressorTest, GivesTheSameBeforeAWrongChecksumWhateverTheRoom) {
  constexpr std::size_t kBlock = std::size_t{1} << 17;
  for (const std::size_t size : {2 * kBlock, 5 * kBlock + 1000, 9 * kBlock - 1}) {
    std::string stored = zstd(sample_text(size));
    stored.back() ^= 1;
    const std::string before = text_before_error(stored, kBlock);
    EXPECT_FALSE(before.empty());
    for (const std::size_t room :
         {std::size_t{1000}, std::size_t{100'000}, kBlock - 1, kBlock + 1, 3 * kBlock, size}) {
      EXPECT_EQ(text_before_error(stored, room).size(), before.size()) << size << ' ' << room;
    }
  }
}

TEST(DecompressorTest, GivesNothingOfASmallFrameWithAWrongChecksumHoweverLittleRoomThereIs) {
  const std::string good = zstd(sample_text(30'000));
  std::string bad = zstd(sample_text(20'000));
  bad.back() ^= 1;
  for (const std::size_t room : {std::size_t{1}, std::size_t{19'999}, std::size_t{1} << 17}) {
    EXPECT_EQ(text_before_error(good + bad, room), sample_text(30'000)) << room;
  }
}

TEST(DecompressorTest, TellsFormatsApartByContent) {
  EXPECT_EQ(unpack("{\"text\":\"plain\"}\n"), "{\"text\":\"plain\"}\n");
  EXPECT_EQ(unpack("BZh is how this text begins"), "BZh is how this text begins");
  EXPECT_EQ(unpack("P*M"), "P*M");
  EXPECT_EQ(unpack("\xef\xbb\xbf with a byte order mark\r\n\f\t"),
            "\xef\xbb\xbf with a byte order mark\r\n\f\t");
  EXPECT_EQ(unpack("\xe6\x97\xa5"), "\xe6\x97\xa5");
}

TEST(DecompressorTest, RefusesAnEmptyShard) {
  EXPECT_EQ(failure_of(""), "the shard is empty (0 bytes)");
}

TEST(DecompressorTest, NamesWhatItCannotRead) {
  const auto begins = [](std::string_view magic) {
    return failure_of(std::string(magic) + "rest of the file");
  };
  using namespace std::string_view_literals;
  EXPECT_THAT(begins("\xfd\x37\x7a\x58\x5a\x00"sv), HasSubstr("xz data"));
  EXPECT_THAT(begins("BZh9\x31\x41\x59\x26\x53\x59"sv), HasSubstr("'bzip2 -dc FILE | zstd"));
  EXPECT_THAT(begins("\x04\x22\x4d\x18"sv), HasSubstr("lz4 data"));
  EXPECT_THAT(begins("\x1e\xb5\x2f\xfd"sv), HasSubstr("before 0.8 (magic number 1e b5 2f fd)"));
  EXPECT_THAT(begins("\x25\xb5\x2f\xfd"sv), HasSubstr("before 0.8 (magic number 25 b5 2f fd)"));
  EXPECT_THAT(begins("PK\x03\x04"sv), HasSubstr("a zip archive"));
  EXPECT_THAT(begins("version https://git-lfs.github.com/spec/v1\n"sv),
              HasSubstr("run 'git lfs pull'"));
  EXPECT_EQ(begins("\x29\xb5\x2f\xfd\x04"sv),
            "not text: begins with 29 b5 2f fd 04 72 65 73 ..., not a known compression");
  EXPECT_EQ(failure_of("a\x01"sv), "not text: begins with 61 01, not a known compression");
}

TEST(DecompressorTest, FindsAZstdShardThatIsCutShort) {
  const std::string stored = zstd(sample_text(5000)) + zstd(sample_text(300));
  const std::size_t second = zstd(sample_text(5000)).size();
  std::string_view view = stored;
  EXPECT_THAT(failure_of(view.substr(0, 1)),
              HasSubstr("magic number of a zstd frame, after 1 byte"));
  EXPECT_THAT(failure_of(view.substr(0, 3)), HasSubstr("after 3 bytes"));
  for (const std::size_t size : {std::size_t{4}, std::size_t{9}, second - 1}) {
    EXPECT_EQ(failure_of(view.substr(0, size)),
              "cut short: the file ends inside the zstd frame at compressed byte 0");
  }
  EXPECT_EQ(failure_of(view.substr(0, second)), "no error");
  for (const std::size_t size : {second + 1, second + 20, stored.size() - 4}) {
    EXPECT_EQ(failure_of(view.substr(0, size)),
              "cut short: the file ends inside the zstd frame at compressed byte " +
                  std::to_string(second));
  }
}

TEST(DecompressorTest, FindsDamageAndSaysWhere) {
  const std::string first = zstd(sample_text(5000));
  std::string stored = first + zstd(sample_text(5000));
  stored.back() = static_cast<char>(stored.back() ^ 1);
  EXPECT_EQ(failure_of(stored),
            "the zstd frame at compressed byte " + std::to_string(first.size()) +
                " is damaged: Restored data doesn't match checksum");

  std::string large = zstd(sample_text(2'000'000));
  large.back() = static_cast<char>(large.back() ^ 1);
  EXPECT_THAT(failure_of(large),
              HasSubstr("the zstd frame at compressed byte 0 is damaged at or behind compressed "
                        "byte "));
}

TEST(DecompressorTest, CountsWhatIsIntact) {
  const std::string first = zstd(sample_text(5000));
  try {
    unpack(first + "garbage");
    FAIL() << "no error";
  } catch (const ShardError& error) {
    EXPECT_EQ(error.intact(), std::ssize(first));
    EXPECT_EQ(std::string(error.what()),
              "what follows the last zstd frame, at compressed byte " +
                  std::to_string(first.size()) +
                  ", is not a zstd frame (it begins with 67 61 72 62)");
  }
}

TEST(DecompressorTest, RefusesALargerWindowThanAllowed) {
  using namespace std::string_view_literals;
  constexpr std::int64_t kSmall = std::int64_t{1} << 20;
  const auto open_with = [](std::string_view header, std::int64_t max_window) {
    std::vector<char> output(100);
    make_decompressor(header, max_window)->step(header, output);
  };
  const auto failure = [&](std::string_view header) {
    try {
      open_with(header, kSmall);
    } catch (const ShardError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  // Window descriptors: exponent * 8 + mantissa, of 2^(10 + exponent) * (1 + mantissa / 8) bytes.
  EXPECT_EQ(failure("\x28\xb5\x2f\xfd\x00\x50\x01\x00\x00"sv), "no error");
  EXPECT_EQ(failure("\x28\xb5\x2f\xfd\x00\x51\x01\x00\x00"sv),
            "the zstd frame at compressed byte 0 needs a window of 1152KiB, more than max_window "
            "(1MiB): set max_window to 2MiB");
  EXPECT_EQ(failure("\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00"sv),
            "the zstd frame at compressed byte 0 is damaged: it claims a window of 3840GiB, and "
            "zstd has none above 2GiB");
  EXPECT_NO_THROW(open_with("\x28\xb5\x2f\xfd\x00\x51\x01\x00\x00"sv, 2 * kSmall));
}

TEST(DecompressorTest, ChecksEveryGzipMember) {
  const std::string first = gzip(sample_text(3000));
  const std::string second = gzip(sample_text(500));
  const std::string where = "the gzip member at compressed byte " + std::to_string(first.size());
  EXPECT_EQ(failure_of(first + second.substr(0, second.size() - 1)),
            "cut short: the file ends inside " + where);
  std::string wrong_sum = first + second;
  wrong_sum[wrong_sum.size() - 8] = static_cast<char>(wrong_sum[wrong_sum.size() - 8] ^ 1);
  EXPECT_THAT(failure_of(wrong_sum), HasSubstr(where + " is damaged at or before compressed byte"));
  EXPECT_THAT(failure_of(wrong_sum), HasSubstr("incorrect data check"));
  EXPECT_THAT(failure_of(first + "garbage"),
              HasSubstr("at compressed byte " + std::to_string(first.size()) +
                        ", is not a gzip member (it begins with 67 61 72 62)"));
}

TEST(DecompressorTest, PassesOverZeroPaddingBehindGzipOnly) {
  const std::string text = sample_text(3000);
  const std::string padding(600, '\0');
  EXPECT_EQ(unpack(gzip(text) + padding, 50), text);
  EXPECT_THAT(failure_of(gzip(text) + padding + "x", 50), HasSubstr("is not a gzip member"));
  EXPECT_THAT(failure_of(zstd(text) + padding), HasSubstr("begins with 00 00 00 00"));
}

}  // namespace
}  // namespace penstock
