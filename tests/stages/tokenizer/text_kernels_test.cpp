#include "stages/tokenizer/text_kernels.h"

#include <atomic>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace penstock {
namespace {

ByteClasses random_classes(std::mt19937& random) {
  ByteClasses classes;
  for (std::uint8_t& number : classes.class_of) {
    number = static_cast<std::uint8_t>(random() % ByteClasses::kNotAscii);
  }
  for (std::uint16_t& followers : classes.may_follow) {
    followers = static_cast<std::uint16_t>(random());
  }
  return classes;
}

TEST(TextKernels, MarkTheSameCutsAtEveryLevel) {
  std::mt19937 random(1);
  constexpr std::size_t kNumBlocks = 40;
  for (int round = 0; round < 50; ++round) {
    const ByteClasses classes = random_classes(random);
    std::string text(1 + kNumBlocks * TextKernels::kBlockBytes, '\0');
    for (char& byte : text) {
      byte = static_cast<char>(round % 2 == 0 ? random() : random() % 128);
    }
    std::vector<BlockMarks> expected(kNumBlocks);
    text_kernels("portable").mark_cuts(classes, text.data() + 1, kNumBlocks, expected.data());
    for (const std::string& level : simd_levels()) {
      std::vector<BlockMarks> marks(kNumBlocks);
      text_kernels(level).mark_cuts(classes, text.data() + 1, kNumBlocks, marks.data());
      for (std::size_t block = 0; block < kNumBlocks; ++block) {
        EXPECT_EQ(marks[block].cuts, expected[block].cuts) << level;
        EXPECT_EQ(marks[block].spaces, expected[block].spaces) << level;
        EXPECT_EQ(marks[block].rare, expected[block].rare) << level;
      }
    }
  }
}

TEST(TextKernels, MarkWhereAClassMayNotFollow) {
  ByteClasses classes;
  classes.class_of['b'] = 1;
  classes.may_follow[0] = 0b01;
  classes.may_follow[1] = 0b11;
  const std::string text = "a" + std::string("ab") + std::string(62, 'b');
  BlockMarks marks;
  text_kernels("portable").mark_cuts(classes, text.data() + 1, 1, &marks);
  EXPECT_EQ(marks.cuts, 0b10U);
  EXPECT_EQ(marks.rare, 0U);
}

TEST(TextKernels, AreTheSameForThreadsThatAskAtTheSameTime) {
  const std::vector<std::string> levels = simd_levels();
  std::atomic<int> num_differing = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        num_differing += simd_levels() == levels ? 0 : 1;
        num_differing += text_kernels("portable").merge == text_kernels().merge ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(num_differing, 0);
}

TEST(TextKernels, AreThereAtTheLevelsOfTheMachine) {
  EXPECT_EQ(simd_levels().back(), "portable");
  EXPECT_THROW(text_kernels("AVX9000"), std::invalid_argument);
  EXPECT_NE(text_kernels().mark_cuts, nullptr);
}

}  // namespace
}  // namespace penstock
