#include "stages/frames_ahead.h"

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/stages/compress.h"

namespace penstock {
namespace {

using testing::zstd;

constexpr std::int64_t kMaxWindow = std::int64_t{128} << 20;

// Compresses by a fifth at most.
std::string random_text(std::size_t size) {
  std::mt19937 random(3);
  std::string text(size, ' ');
  for (char& c : text) {
    c = static_cast<char>('!' + random() % 90);
  }
  return text;
}

std::string take_all(FramesAhead& ahead) {
  std::string all;
  for (std::string_view text = ahead.text(); !text.empty(); text = ahead.text()) {
    const std::string_view piece = text.substr(0, 50'000);
    all += piece;
    ahead.take_text(piece.size());
  }
  return all;
}

TEST(FramesAhead, GivesTheTextOfWholeFramesInOrder) {
  FramesAhead ahead(3, kMaxWindow);
  const std::string text = random_text(400'000);
  const std::string whole = zstd(text) + zstd("a small one") + zstd(text);
  const std::string stored = whole + zstd(text).substr(0, 100'000);
  EXPECT_EQ(ahead.decompress(stored), whole.size());
  EXPECT_TRUE(take_all(ahead) == text + "a small one" + text);
}

TEST(FramesAhead, GivesNoMoreFramesThanItHasThreads) {
  FramesAhead ahead(2, kMaxWindow);
  const std::string frame = zstd(random_text(400'000));
  EXPECT_EQ(ahead.decompress(frame + frame + frame), 2 * frame.size());
  EXPECT_EQ(take_all(ahead).size(), 800'000U);
}

TEST(FramesAhead, WantsMoreWhileThereMayBeAnotherFrameForAThread) {
  const FramesAhead ahead(2, kMaxWindow);
  const std::string frame = zstd(random_text(400'000));
  EXPECT_TRUE(ahead.wants_more(frame.substr(0, 1000)));
  EXPECT_TRUE(ahead.wants_more(frame));
  EXPECT_TRUE(ahead.wants_more(frame + frame.substr(0, 1000)));
  EXPECT_FALSE(ahead.wants_more(frame + frame));
  EXPECT_FALSE(ahead.wants_more(frame + "this is no frame"));
}

TEST(FramesAhead, LeavesASingleFrameAlone) {
  FramesAhead ahead(2, kMaxWindow);
  EXPECT_EQ(ahead.decompress(zstd(random_text(400'000))), 0U);
  EXPECT_EQ(ahead.text(), "");
}

TEST(FramesAhead, StopsInFrontOfADamagedFrame) {
  FramesAhead ahead(4, kMaxWindow);
  const std::string good = zstd(random_text(400'000));
  std::string bad = good;
  bad.back() ^= 1;
  EXPECT_EQ(ahead.decompress(good + bad + good), good.size());
  EXPECT_EQ(take_all(ahead).size(), 400'000U);
  EXPECT_EQ(ahead.decompress(bad + good), 0U);
  EXPECT_EQ(ahead.text(), "");
}

TEST(FramesAhead, StopsInFrontOfAFrameWithMuchText) {
  FramesAhead ahead(2, kMaxWindow);
  const std::string good = zstd(random_text(400'000));
  const std::string bomb = zstd(std::string(std::size_t{17} << 20, ' '));
  EXPECT_EQ(ahead.decompress(good + bomb + good), good.size());
}

}  // namespace
}  // namespace penstock
