#include "stages/parallel_frames.h"

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "pipeline/metrics.h"
#include "tests/stages/compress.h"

namespace penstock {
namespace {

using testing::zstd;
using testing::zstd_run;

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

// Reads a shard step by step, as a lane does.
class Shard {
 public:
  Shard(std::string stored, int width)
      : stored_(std::move(stored)),
        decompressor_(decompress_frames_in_parallel(
            make_decompressor(stored_, kMaxWindow), kMaxWindow, width, row_, width)) {}

  // The next text; empty at the end.
  std::string next() {
    std::string text(50'000, '\0');
    while (true) {
      const auto [consumed, produced] = decompressor_->step(input_, text);
      input_.remove_prefix(consumed);
      if (produced > 0) {
        return text.substr(0, produced);
      }
      if (consumed > 0) {
        continue;
      }
      if (ended_) {
        decompressor_->finish();
        return {};
      }
      input_ = std::string_view(stored_).substr(num_read_, kStepBytes);
      num_read_ += input_.size();
      ended_ = input_.empty();
      if (ended_) {
        decompressor_->end_input();
      }
    }
  }

  std::string rest() {
    std::string all;
    for (std::string text = next(); !text.empty(); text = next()) {
      all += text;
    }
    return all;
  }

  std::size_t num_read() const { return num_read_; }
  int width() const { return row_.width; }

 private:
  const std::string stored_;
  StageMetrics row_{"decompress", 1};
  const std::unique_ptr<Decompressor> decompressor_;
  std::string_view input_;
  std::size_t num_read_ = 0;
  bool ended_ = false;
};

TEST(ParallelFrames, GivesTheTextInOrder) {
  const std::string text = random_text(400'000);
  Shard shard(zstd(text) + zstd("a small one") + zstd("") + zstd(text), 3);
  EXPECT_TRUE(shard.rest() == text + "a small one" + text);
  EXPECT_EQ(shard.width(), 3);
}

TEST(ParallelFrames, HoldsBackOneStretchForEachThread) {
  const std::string frame = zstd(random_text(400'000));
  std::string stored;
  for (int i = 0; i < 10; ++i) {
    stored += frame;
  }
  Shard shard(stored, 2);
  EXPECT_FALSE(shard.next().empty());
  EXPECT_LE(shard.num_read(), 2 * frame.size() + kStepBytes);
}

TEST(ParallelFrames, ReadsNoMoreThanNecessaryOfAFrameThatIsTooLarge) {
  Shard shard(zstd(random_text(20'000'000)), 64);
  EXPECT_FALSE(shard.next().empty());
  EXPECT_LE(shard.num_read(), (std::size_t{4} << 20) + kStepBytes);
  EXPECT_EQ(shard.rest().size() % 50'000, 0U);
  EXPECT_EQ(shard.width(), 1);
}

TEST(ParallelFrames, LeavesAFrameWithMuchTextAlone) {
  const std::string text = random_text(400'000);
  Shard shard(zstd(text) + zstd(text) + zstd_run("<", ' ', 40'000'000, ">") + zstd(text), 2);
  EXPECT_EQ(shard.rest().size(), 3 * text.size() + 40'000'002);
}

TEST(ParallelFrames, TellsWhereAFrameIsDamaged) {
  const std::string good = zstd(random_text(400'000));
  std::string bad = good;
  bad.back() ^= 1;
  Shard shard(good + good + bad + good, 2);
  std::string text;
  try {
    while (true) {
      text += shard.next();
    }
  } catch (const ShardError& error) {
    EXPECT_EQ(std::string(error.what())
                  .find("the zstd frame at compressed byte " + std::to_string(2 * good.size()) +
                        " is damaged"),
              0U)
        << error.what();
  }
  EXPECT_GE(text.size(), 800'000U);
}

TEST(ParallelFrames, TellsThatTheLastFrameIsCutShort) {
  const std::string good = zstd(random_text(400'000));
  Shard shard(good + good + good.substr(0, 100'000), 2);
  EXPECT_THROW(shard.rest(), ShardError);
}

}  // namespace
}  // namespace penstock
