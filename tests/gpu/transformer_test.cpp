#include "gpu/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/host/host_transformer.h"
#include "gpu/packed_positions.h"

namespace penstock::gpu {
namespace {

constexpr TransformerShape kTiny = {
    .vocabulary = 11, .max_length = 7, .width = 8, .layers = 2, .heads = 2};

// Segments of these lengths; the targets are random, with gaps.
PackedPositions positions_of(const std::vector<std::int32_t>& lengths, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  PackedPositions positions;
  std::int32_t begin = 0;
  for (const std::int32_t length : lengths) {
    for (std::int32_t i = 0; i < length; ++i) {
      positions.tokens.push_back(static_cast<TokenId>(random() % 11));
      const bool is_scored = i + 1 < length || random() % 2 == 0;
      positions.targets.push_back(is_scored ? static_cast<std::int32_t>(random() % 11) : kNoTarget);
      positions.begins.push_back(begin);
      positions.ends.push_back(begin + length);
    }
    begin += length;
  }
  return positions;
}

// Large enough that every part of the model matters.
std::vector<float> lively_parameters(const TransformerLayout& layout, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, 0.4F);
  std::vector<float> parameters(static_cast<std::size_t>(layout.size));
  for (const TransformerTensor& tensor : layout.tensors) {
    const float mean = tensor.begin == TransformerTensor::Begin::kOnes ? 1 : 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      parameters[static_cast<std::size_t>(tensor.offset + i)] = mean + normal(random);
    }
  }
  return parameters;
}

HostTransformer make_transformer(const PackedPositions& positions,
                                 std::int64_t tile = 5,
                                 int threads = 1) {
  return {kTiny, transformer_layout(kTiny, 1), std::ssize(positions.tokens), tile, threads};
}

TEST(TransformerLayout, HasTheSizeAndTheNamesOfGpt2) {
  const TransformerShape small = {
      .vocabulary = 50'257, .max_length = 1024, .width = 768, .layers = 12, .heads = 12};
  EXPECT_EQ(num_parameters(small), 124'439'808);
  const TransformerLayout layout = transformer_layout(small, 128);
  std::int64_t sum = 0;
  for (const TransformerTensor& tensor : layout.tensors) {
    EXPECT_EQ(tensor.offset % kTransformerAlignment, 0) << tensor.name;
    sum += tensor.size();
  }
  EXPECT_EQ(sum, num_parameters(small));
  EXPECT_EQ(layout.tensors.size(), 4U + 12 * 12);
  EXPECT_EQ(layout.vocabulary_rows, 50'304);
  EXPECT_EQ(layout.tensors[0].name, "wte.weight");
  EXPECT_EQ(layout.tensors[2].name, "h.0.attn.c_attn.weight");
  EXPECT_EQ(layout.tensors.back().name, "ln_f.bias");
}

TEST(TransformerLayout, PutsMatricesFirst) {
  const TransformerLayout layout = transformer_layout(kTiny, 1);
  for (const TransformerTensor& tensor : layout.tensors) {
    EXPECT_EQ(tensor.rows > 0, tensor.offset < layout.num_decaying) << tensor.name;
  }
}

TEST(InitialParameters, AreThoseOfGpt2) {
  const TransformerShape shape = {
      .vocabulary = 500, .max_length = 64, .width = 64, .layers = 8, .heads = 2};
  const TransformerLayout layout = transformer_layout(shape, 1);
  const std::vector<float> parameters = initial_parameters(layout, 3);
  for (const TransformerTensor& tensor : layout.tensors) {
    double sum = 0;
    double squares = 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      const double element = parameters[static_cast<std::size_t>(tensor.offset + i)];
      sum += element;
      squares += element * element;
    }
    const auto size = static_cast<double>(tensor.size());
    const double mean = sum / size;
    const double deviation = std::sqrt(squares / size - mean * mean);
    EXPECT_NEAR(mean, tensor.begin == TransformerTensor::Begin::kOnes ? 1 : 0, 2e-3) << tensor.name;
    EXPECT_NEAR(deviation, tensor.deviation, 0.05 * tensor.deviation + 1e-6) << tensor.name;
  }
  EXPECT_NEAR(layout.tensors[3].deviation, 0.02 / std::sqrt(16), 1e-12);
  EXPECT_EQ(initial_parameters(layout, 3), parameters);
  EXPECT_NE(initial_parameters(layout, 4), parameters);
}

class Gradient : public ::testing::TestWithParam<std::size_t> {};

// The loss along a direction in which one tensor alone changes, against central differences.
TEST_P(Gradient, IsThatOfFiniteDifferences) {
  const TransformerLayout layout = transformer_layout(kTiny, 1);
  const TransformerTensor& tensor = layout.tensors.at(GetParam());
  const PackedPositions positions = positions_of({5, 1, 7, 3}, 1);
  std::vector<float> parameters = lively_parameters(layout, 2);
  std::vector<float> gradient(parameters.size());
  HostTransformer transformer = make_transformer(positions);
  transformer.add_gradient(parameters, positions, gradient);

  const auto begin = static_cast<std::size_t>(tensor.offset);
  const auto size = static_cast<std::size_t>(tensor.size());
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  double norm = 0;
  for (std::size_t i = begin; i < begin + size; ++i) {
    norm += static_cast<double>(gradient[i]) * gradient[i];
  }
  ASSERT_GT(norm, 0);
  for (int trial = 0; trial < 6; ++trial) {
    std::vector<float> direction(size);
    std::generate(direction.begin(), direction.end(), [&] { return normal(random); });
    if (trial == 0) {
      std::copy_n(gradient.begin() + tensor.offset, size, direction.begin());
    }
    const double length =
        std::sqrt(std::inner_product(direction.begin(), direction.end(), direction.begin(), 0.0));
    const auto loss_at = [&](double distance) {
      std::vector<float> moved = parameters;
      for (std::size_t i = 0; i < size; ++i) {
        moved[begin + i] += static_cast<float>(distance / length * direction[i]);
      }
      return transformer.evaluate(moved, positions).loss_sum;
    };
    const double step = 1e-2;
    // Of the fourth order, so that the step can be as long as fp32 wants it.
    const double difference =
        (8 * (loss_at(step) - loss_at(-step)) - (loss_at(2 * step) - loss_at(-2 * step))) /
        (12 * step);
    const double expected =
        std::inner_product(
            direction.begin(), direction.end(), gradient.begin() + tensor.offset, 0.0) /
        length;
    EXPECT_NEAR(difference, expected, 2e-3 * std::sqrt(norm) + 2e-3) << tensor.name << trial;
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         Gradient,
                         ::testing::Range(std::size_t{0},
                                          transformer_layout(kTiny, 1).tensors.size()),
                         [](const auto& test) {
                           std::string name =
                               transformer_layout(kTiny, 1).tensors.at(test.param).name;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(HostTransformer, AddsToTheGradientThatIsThere) {
  const TransformerLayout layout = transformer_layout(kTiny, 1);
  const PackedPositions positions = positions_of({6, 2}, 1);
  const std::vector<float> parameters = lively_parameters(layout, 2);
  std::vector<float> once(parameters.size());
  HostTransformer transformer = make_transformer(positions);
  transformer.add_gradient(parameters, positions, once);
  std::vector<float> twice = once;
  transformer.add_gradient(parameters, positions, twice);
  for (std::size_t i = 0; i < once.size(); ++i) {
    EXPECT_NEAR(twice[i], 2 * once[i], 1e-4);
  }
}

TEST(HostTransformer, NeverLooksAcrossDocuments) {
  const TransformerLayout layout = transformer_layout(kTiny, 1);
  const std::vector<float> parameters = lively_parameters(layout, 2);
  const PackedPositions together = positions_of({4, 1, 7}, 5);
  double sum = 0;
  for (std::int64_t begin = 0; begin < 12;) {
    const std::int32_t end = together.ends[static_cast<std::size_t>(begin)];
    PackedPositions alone;
    for (std::int64_t i = begin; i < end; ++i) {
      alone.tokens.push_back(together.tokens[static_cast<std::size_t>(i)]);
      alone.targets.push_back(together.targets[static_cast<std::size_t>(i)]);
      alone.begins.push_back(0);
      alone.ends.push_back(static_cast<std::int32_t>(end - begin));
    }
    sum += make_transformer(alone).evaluate(parameters, alone).loss_sum;
    begin = end;
  }
  EXPECT_NEAR(make_transformer(together).evaluate(parameters, together).loss_sum, sum, 1e-4);
}

TEST(HostTransformer, GivesTheSameWithAnyNumberOfThreads) {
  const TransformerLayout layout = transformer_layout(kTiny, 1);
  const std::vector<float> parameters = lively_parameters(layout, 2);
  const PackedPositions positions = positions_of({7, 7, 3, 5, 6, 1, 7}, 5);
  std::vector<float> with_one(parameters.size());
  std::vector<float> with_two(parameters.size());
  const double loss =
      make_transformer(positions, 9, 1).add_gradient(parameters, positions, with_one).loss_sum;
  EXPECT_EQ(
      make_transformer(positions, 9, 2).add_gradient(parameters, positions, with_two).loss_sum,
      loss);
  EXPECT_EQ(with_one, with_two);
}

TEST(HostTransformer, TellsWhereALossIsNotFinite) {
  const TransformerLayout layout = transformer_layout(kTiny, 1);
  std::vector<float> parameters = lively_parameters(layout, 2);
  const PackedPositions positions = positions_of({4, 6}, 5);
  EXPECT_EQ(make_transformer(positions).evaluate(parameters, positions).first_not_finite, -1);
  parameters[static_cast<std::size_t>(layout.position_embedding + 5 * kTiny.width)] = INFINITY;
  const BatchLoss loss = make_transformer(positions).evaluate(parameters, positions);
  EXPECT_GE(loss.first_not_finite, 4);  // in the longer document
}

}  // namespace
}  // namespace penstock::gpu
