#include "gpu/host/sample_token.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/philox.h"

namespace penstock::gpu {
namespace {

using ::testing::ElementsAre;

constexpr std::uint64_t kMostRandom = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kDraws = 20'000;

LmScoreOptions options_of(double temperature, std::int64_t top_k = 0, double top_p = 1) {
  LmScoreOptions options;
  options.temperature = temperature;
  options.top_k = top_k;
  options.top_p = top_p;
  return options;
}

// Logits of these probabilities.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double probability : probabilities) {
    logits.push_back(static_cast<float>(std::log(probability)));
  }
  return logits;
}

std::vector<double> draw(const std::vector<float>& logits, const LmScoreOptions& options) {
  std::vector<double> counts(logits.size());
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    ++counts[sample_token(logits, options, philox(123, i, kLmSampleStream))];
  }
  return counts;
}

// The ids that a few thousand draws give.
std::set<TokenId> drawn_ids(const std::vector<float>& logits, const LmScoreOptions& options) {
  const std::vector<double> counts = draw(logits, options);
  std::set<TokenId> ids;
  for (TokenId id = 0; id < counts.size(); ++id) {
    if (counts[id] > 0) {
      ids.insert(id);
    }
  }
  return ids;
}

double chi_square(const std::vector<double>& counts, const std::vector<double>& probabilities) {
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (probabilities[i] == 0) {
      EXPECT_EQ(counts[i], 0) << i;
      continue;
    }
    const double expected = kDraws * probabilities[i];
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

TEST(SampleToken, WithoutTemperatureTakesTheLowestIdOfTheHighestLogit) {
  const std::vector<float> logits = {1, 3, -2, 3, 2};
  EXPECT_EQ(most_likely_token(logits), 1);
  EXPECT_EQ(sample_token(logits, options_of(0), 0), 1);
  EXPECT_EQ(sample_token(logits, options_of(0, 5, 0.1), kMostRandom), 1);
}

// 1 in 10,000 samples of the distribution has a higher chi-square with 5 degrees of freedom.
constexpr double kCritical5 = 25.7;

TEST(SampleToken, FollowsTheDistribution) {
  const std::vector<double> probabilities = {0.05, 0.3, 0.1, 0.25, 0.1, 0.2};
  EXPECT_LT(chi_square(draw(logits_of(probabilities), options_of(1)), probabilities), kCritical5);
}

TEST(SampleToken, DividesByTheTemperature) {
  const std::vector<double> probabilities = {0.05, 0.3, 0.1, 0.25, 0.1, 0.2};
  for (const double temperature : {0.4, 3.0}) {
    std::vector<double> expected;
    double sum = 0;
    for (const double probability : probabilities) {
      sum += expected.emplace_back(std::pow(probability, 1 / temperature));
    }
    for (double& probability : expected) {
      probability /= sum;
    }
    EXPECT_LT(chi_square(draw(logits_of(probabilities), options_of(temperature)), expected),
              kCritical5);
  }
}

TEST(SampleToken, KeepsTheDistributionOfTheTopK) {
  const std::vector<float> logits = logits_of({0.05, 0.3, 0.1, 0.25, 0.1, 0.2});
  const std::vector<double> expected = {0, 0.4, 0, 1.0 / 3, 0, 0.8 / 3};
  EXPECT_LT(chi_square(draw(logits, options_of(1, 3)), expected), kCritical5);
}

TEST(SampleToken, KeepsAllThatEqualTheLastOfTheTopK) {
  const std::vector<float> logits = {0.5, 1, 0.5, 0, 0.5};
  EXPECT_THAT(drawn_ids(logits, options_of(1, 1)), ElementsAre(1));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 2)), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 4)), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 5)), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 500)), ElementsAre(0, 1, 2, 3, 4));
}

TEST(SampleToken, KeepsTheFewestThatHaveTopPOfTheMass) {
  const std::vector<float> logits = logits_of({0.16, 0.5, 0.09, 0.25});
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 1e-9)), ElementsAre(1));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 0.49)), ElementsAre(1));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 0.51)), ElementsAre(1, 3));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 0.74)), ElementsAre(1, 3));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 0.76)), ElementsAre(0, 1, 3));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 0.92)), ElementsAre(0, 1, 2, 3));
}

TEST(SampleToken, KeepsAllThatEqualTheLastOfTopP) {
  const std::vector<float> logits = {2, 0, 2, 2};
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 0.1)), ElementsAre(0, 2, 3));
}

TEST(SampleToken, TakesTopPOfWhatTopKLeaves) {
  const std::vector<float> logits = logits_of({0.5, 0.25, 0.125, 0.125});
  EXPECT_THAT(drawn_ids(logits, options_of(1, 0, 0.66)), ElementsAre(0, 1));
  EXPECT_THAT(drawn_ids(logits, options_of(1, 2, 0.66)), ElementsAre(0));
}

TEST(SampleToken, NeverTakesAnIdWithoutMass) {
  const std::vector<float> logits = {-1000, 0, -1000, 0, -1000};
  EXPECT_EQ(sample_token(logits, options_of(1), 0), 1);
  EXPECT_EQ(sample_token(logits, options_of(1), kMostRandom / 2), 1);
  EXPECT_EQ(sample_token(logits, options_of(1), kMostRandom / 2 + 1), 3);
  EXPECT_EQ(sample_token(logits, options_of(1), kMostRandom), 3);
}

TEST(SampleToken, TakesTheHighestLogitAtTheLowestTemperature) {
  EXPECT_THAT(drawn_ids({1, 1.001F, 0.5}, options_of(1e-300)), ElementsAre(1));
}

}  // namespace
}  // namespace penstock::gpu
