#include "gpu/host/matrix_product.h"

#include <atomic>
#include <cstddef>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

std::vector<float> random_elements(std::mt19937& random, std::int64_t count) {
  std::vector<float> elements(static_cast<std::size_t>(count));
  for (float& element : elements) {
    element = static_cast<float>(random() % 1000) / 1000 - 0.5F;
  }
  return elements;
}

// How many of some products differ when they are computed again.
int count_differences(unsigned seed) {
  std::mt19937 random(seed);
  int differences = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto rows = static_cast<std::int64_t>(1 + random() % 64);
    const auto columns = static_cast<std::int64_t>(1 + random() % 128);
    const auto depth = static_cast<std::int64_t>(1 + random() % 32);
    const std::vector<float> left = random_elements(random, rows * depth);
    const std::vector<float> right = random_elements(random, depth * columns);
    std::vector<float> first(static_cast<std::size_t>(rows * columns));
    std::vector<float> second(first.size());
    for (std::vector<float>* product : {&first, &second}) {
      multiply(rows,
               columns,
               depth,
               {left.data(), depth},
               {right.data(), columns},
               {product->data(), columns});
    }
    differences += first == second ? 0 : 1;
  }
  return differences;
}

TEST(MatrixProduct, IsTheSameWhateverOtherThreadsMultiply) {
  std::atomic<int> differences{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 8; ++seed) {
    threads.emplace_back([&differences, seed] { differences += count_differences(seed); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(differences, 0);
}

}  // namespace
}  // namespace penstock::gpu
