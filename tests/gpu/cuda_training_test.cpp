// The kernels of lm_train against the host's, one by one on random inputs, and all of them
// together. Inputs are rounded to bf16 first, so that what differs is what the kernels round. Every
// test skips where there is no CUDA device.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/cuda/attention_kernels.h"
#include "gpu/cuda/blas_lt.h"
#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_trainer.h"
#include "gpu/cuda/cuda_transformer.h"
#include "gpu/cuda/handles.h"
#include "gpu/cuda/transformer_kernels.h"
#include "gpu/device.h"
#include "gpu/host/host_trainer.h"
#include "gpu/host/host_transformer.h"
#include "gpu/host/matrix_product.h"
#include "gpu/host/transformer_kernels.h"
#include "gpu/lm_train.h"
#include "gpu/packed_positions.h"
#include "tests/gpu/lm_batches.h"

namespace penstock::gpu {
namespace {

// Device memory that begins as a copy of host memory, and its way back.
template <typename T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values)
      : size_(values.size()), array_(std::max<std::int64_t>(1, std::ssize(values)), "a test", "") {
    check(cudaMemcpy(array_.get(), values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice),
          "cudaMemcpy");
  }
  // Filled with what no kernel may leave as it is.
  explicit OnDevice(std::size_t size) : OnDevice(garbage(size)) {}

  T* get() const { return array_.get(); }
  std::vector<T> values() const {
    std::vector<T> values(size_);
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    check(cudaMemcpy(values.data(), array_.get(), size_ * sizeof(T), cudaMemcpyDeviceToHost),
          "cudaMemcpy");
    return values;
  }

 private:
  static std::vector<T> garbage(std::size_t size) {
    std::vector<T> values(size);
    std::fill_n(reinterpret_cast<unsigned char*>(values.data()), size * sizeof(T), 0xAB);
    return values;
  }

  std::size_t size_;
  DeviceArray<T> array_;
};

using Floats = std::vector<float>;

Floats random_floats(std::size_t size, std::uint64_t seed, float deviation = 1, float mean = 0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(mean, deviation);
  Floats values(size);
  // What bf16 can hold.
  std::generate(values.begin(), values.end(), [&] { return to_float(to_bf16(normal(random))); });
  return values;
}

std::vector<Bf16> rounded(const Floats& values) {
  std::vector<Bf16> result(values.size());
  std::transform(values.begin(), values.end(), result.begin(), to_bf16);
  return result;
}

Floats widened(const std::vector<Bf16>& values) {
  Floats result(values.size());
  std::transform(values.begin(), values.end(), result.begin(), to_float);
  return result;
}

double norm(const float* values, std::size_t size) {
  return std::sqrt(std::inner_product(values, values + size, values, 0.0));
}

double distance(const float* found, const float* expected, std::size_t size) {
  Floats difference(size);
  std::transform(found, found + size, expected, difference.begin(), std::minus<>());
  return norm(difference.data(), size);
}

// The distance of the two relative to the length of what is expected.
double relative_distance(const float* found, const float* expected, std::size_t size) {
  return distance(found, expected, size) / (norm(expected, size) + 1e-12);
}

// What stays of a sum in fp32 whose summands cancel, relative to them.
constexpr double kCancellation = 1e-6;

// `operands`: how large the summands of an element are, where they may cancel.
void expect_near(const Floats& found,
                 const Floats& expected,
                 double tolerance,
                 double operands = 0) {
  ASSERT_EQ(found.size(), expected.size());
  const double noise = kCancellation * operands;
  const double found_distance = distance(found.data(), expected.data(), found.size());
  EXPECT_LE(found_distance,
            tolerance * norm(expected.data(), expected.size()) +
                noise * std::sqrt(static_cast<double>(found.size())) + 1e-12);
  EXPECT_FALSE(std::isnan(found_distance));
  // No element alone is far off either.
  const double scale = norm(expected.data(), expected.size()) /
                       std::sqrt(static_cast<double>(std::max<std::size_t>(1, expected.size())));
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], 0.1 * scale + 0.05 * std::abs(expected[i]) + noise) << i;
  }
}

// Rounding to bf16 alone gives 0.0017 (uniformly distributed, 8 bits).
constexpr double kRounding = 0.004;

class CudaTraining : public ::testing::Test {
 protected:
  void SetUp() override {
    const CudaAvailability cuda = cuda_availability();
    if (!cuda.available) {
      GTEST_SKIP() << cuda.reason;
    }
    device_ = make_cuda_device(0);
  }
  cudaStream_t stream() const {
    return static_cast<cudaStream_t>(device_->compute_stream().handle);
  }

  std::unique_ptr<Device> device_;
  const ParallelBlocks parallel_{1};
};

TEST_F(CudaTraining, MultipliesInEveryArrangement) {
  struct Arrangement {
    bool left_is_transposed;
    bool right_is_transposed;
    bool is_sum;
    bool has_bias_and_addend;
  };
  BlasLt blas;
  for (const auto& [rows, columns, depth] :
       {std::tuple(64, 128, 192), std::tuple(200, 64, 128), std::tuple(7, 256, 64)}) {
    for (const Arrangement& a : {Arrangement{false, false, false, true},
                                 Arrangement{false, true, false, false},
                                 Arrangement{false, false, false, false},
                                 Arrangement{true, false, true, false}}) {
      if (a.left_is_transposed && rows % 8 != 0) {
        continue;
      }
      const Floats left = random_floats(static_cast<std::size_t>(rows * depth), 1);
      const Floats right = random_floats(static_cast<std::size_t>(depth * columns), 2);
      const Floats before = random_floats(static_cast<std::size_t>(rows * columns), 3);
      const Floats bias = random_floats(static_cast<std::size_t>(columns), 4);
      Floats expected = before;
      if (a.has_bias_and_addend) {
        fill_rows(parallel_, bias, before, expected);
      }
      const std::int64_t left_stride = a.left_is_transposed ? rows : depth;
      const std::int64_t right_stride = a.right_is_transposed ? depth : columns;
      gpu::multiply(rows,
                    columns,
                    depth,
                    {left.data(), left_stride, a.left_is_transposed},
                    {right.data(), right_stride, a.right_is_transposed},
                    {expected.data(), columns, a.is_sum || a.has_bias_and_addend});
      const OnDevice<Bf16> device_left(rounded(left));
      const OnDevice<Bf16> device_right(rounded(right));
      const OnDevice<Bf16> device_addend(rounded(before));
      const OnDevice<Bf16> device_bias(rounded(bias));
      const OnDevice<Bf16> output(expected.size());
      const OnDevice<float> sum(before);
      blas.multiply({.rows = rows,
                     .columns = columns,
                     .depth = depth,
                     .left = {device_left.get(), left_stride, a.left_is_transposed},
                     .right = {device_right.get(), right_stride, a.right_is_transposed},
                     .output = a.is_sum ? nullptr : output.get(),
                     .sum = a.is_sum ? sum.get() : nullptr,
                     .addend = a.has_bias_and_addend ? device_addend.get() : nullptr,
                     .bias = a.has_bias_and_addend ? device_bias.get() : nullptr},
                    stream());
      expect_near(a.is_sum ? sum.values() : widened(output.values()), expected, kRounding);
    }
  }
}

// Positions of segments of these lengths.
PackedPositions positions_of(const std::vector<std::int32_t>& lengths) {
  PackedPositions positions;
  for (const std::int32_t length : lengths) {
    const auto begin = static_cast<std::int32_t>(positions.begins.size());
    positions.begins.insert(positions.begins.end(), static_cast<std::size_t>(length), begin);
    positions.ends.insert(positions.ends.end(), static_cast<std::size_t>(length), begin + length);
  }
  return positions;
}

class CudaAttention : public CudaTraining,
                      public ::testing::WithParamInterface<std::vector<std::int32_t>> {};

TEST_P(CudaAttention, IsTheHosts) {
  constexpr std::int64_t kHeads = 3;
  constexpr std::int64_t kWidth = kHeads * kAttentionHeadWidth;
  const PackedPositions positions = positions_of(GetParam());
  const auto rows = positions.begins.size();
  std::vector<AttentionSegment> segments;
  for (std::size_t begin = 0; begin < rows; begin = static_cast<std::size_t>(segments.back().end)) {
    segments.push_back({static_cast<std::int64_t>(begin), positions.ends[begin]});
  }
  const Attention attention = {
      segments, static_cast<std::int64_t>(rows), kHeads, kAttentionHeadWidth};
  constexpr float kDeviation = 1.5F;
  const Floats projected = random_floats(rows * 3 * kWidth, 1, kDeviation);
  const Floats d_output = random_floats(rows * kWidth, 2);
  Floats output(rows * kWidth);
  Floats log_sums(rows * kHeads);
  Floats d_projected(projected.size());
  attend(parallel_, attention, projected, output, log_sums);
  attend_backward(parallel_, attention, projected, output, log_sums, d_output, d_projected);

  const OnDevice<std::int32_t> begins(positions.begins);
  const OnDevice<std::int32_t> ends(positions.ends);
  const OnDevice<Bf16> device_projected(rounded(projected));
  const OnDevice<Bf16> device_output(output.size());
  const OnDevice<float> device_log_sums(log_sums.size());
  const DeviceAttention on_device = {attention.positions,
                                     kHeads,
                                     begins.get(),
                                     ends.get(),
                                     device_projected.get(),
                                     device_output.get(),
                                     device_log_sums.get()};
  gpu::attend(on_device, stream());
  expect_near(widened(device_output.values()), output, 2 * kRounding);
  Floats natural = device_log_sums.values();
  for (float& log_sum : natural) {
    log_sum *= static_cast<float>(std::log(2.0));
  }
  expect_near(natural, log_sums, 1e-3);

  const OnDevice<Bf16> device_d_output(rounded(d_output));
  const OnDevice<float> means(log_sums.size());
  const OnDevice<Bf16> device_d_projected(projected.size());
  gpu::attend_backward(
      on_device, {device_d_output.get(), means.get(), device_d_projected.get()}, stream());
  const Floats found = widened(device_d_projected.values());
  // The gradient of a query is a sum of keys times differences of products of the output's gradient
  // with values: 0 where a segment has one token, but for rounding. That of a key likewise.
  const double operands =
      kDeviation * kDeviation * std::sqrt(static_cast<double>(kAttentionHeadWidth));
  for (std::size_t part = 0; part < 3; ++part) {
    const auto take = [&](const Floats& from) {
      Floats taken;
      for (std::size_t row = 0; row < rows; ++row) {
        const auto begin =
            from.begin() + static_cast<std::ptrdiff_t>(row * 3 * kWidth + part * kWidth);
        taken.insert(taken.end(), begin, begin + kWidth);
      }
      return taken;
    };
    SCOPED_TRACE(part == 0 ? "queries" : part == 1 ? "keys" : "values");
    expect_near(take(found), take(d_projected), 3 * kRounding, operands);
  }
}

INSTANTIATE_TEST_SUITE_P(Segments,
                         CudaAttention,
                         ::testing::Values(std::vector<std::int32_t>{128},
                                           std::vector<std::int32_t>{1},
                                           std::vector<std::int32_t>{5, 3},
                                           std::vector<std::int32_t>{64, 64, 128, 128},
                                           std::vector<std::int32_t>{1, 63, 65, 200, 7, 129, 300},
                                           std::vector<std::int32_t>{1024, 1024},
                                           std::vector<std::int32_t>(97, 3),
                                           std::vector<std::int32_t>{500, 1, 1, 1, 21, 500}));

class CudaWidth : public CudaTraining, public ::testing::WithParamInterface<std::int64_t> {};

TEST_P(CudaWidth, NormalisesAsTheHost) {
  const std::int64_t width = GetParam();
  constexpr std::int64_t kRows = 301;
  const auto size = static_cast<std::size_t>(kRows * width);
  const Floats input = random_floats(size, 1, 2, 0.5F);
  const Floats weight = random_floats(static_cast<std::size_t>(width), 2, 0.3F, 1);
  const Floats bias = random_floats(static_cast<std::size_t>(width), 3);
  const Floats d_output = random_floats(size, 4);
  const Floats d_before = random_floats(size, 5);
  Floats output(size);
  NormStatistics statistics;
  layer_norm(parallel_, input, {weight.data(), bias.data()}, width, output, statistics);
  Floats d_input = d_before;
  Floats d_weight = random_floats(static_cast<std::size_t>(width), 6);
  Floats d_bias = random_floats(static_cast<std::size_t>(width), 7);
  Floats sums = random_floats(static_cast<std::size_t>(width), 8);
  const OnDevice<float> device_d_weight(d_weight);
  const OnDevice<float> device_d_bias(d_bias);
  const OnDevice<float> device_sums(sums);
  layer_norm_backward(parallel_,
                      input,
                      {weight.data(), bias.data()},
                      width,
                      statistics,
                      d_output,
                      d_input,
                      {d_weight.data(), d_bias.data()});
  add_row_sums(parallel_, d_input, sums);

  const OnDevice<Bf16> device_input(rounded(input));
  const OnDevice<float> device_weight(weight);
  const OnDevice<float> device_bias(bias);
  const OnDevice<float> mean(kRows);
  const OnDevice<float> inverse(kRows);
  const OnDevice<Bf16> device_output(size);
  const DeviceNorm norm = {kRows,
                           width,
                           device_input.get(),
                           device_weight.get(),
                           device_bias.get(),
                           mean.get(),
                           inverse.get()};
  layer_norm(norm, device_output.get(), stream());
  expect_near(widened(device_output.values()), output, kRounding);
  expect_near(mean.values(), statistics.mean, 1e-4);
  expect_near(inverse.values(), statistics.inverse_deviation, 1e-4);

  const OnDevice<Bf16> device_d_output(rounded(d_output));
  const OnDevice<Bf16> device_d_input(rounded(d_before));
  const OnDevice<float> partial_sums(static_cast<std::size_t>(kNormPartialSums * width));
  layer_norm_backward(norm,
                      {device_d_output.get(),
                       device_d_input.get(),
                       device_d_input.get(),
                       device_d_weight.get(),
                       device_d_bias.get(),
                       device_sums.get(),
                       partial_sums.get()},
                      stream());
  expect_near(widened(device_d_input.values()), d_input, kRounding);
  expect_near(device_d_weight.values(), d_weight, 1e-4);
  expect_near(device_d_bias.values(), d_bias, 1e-4);
  expect_near(device_sums.values(), sums, kRounding);
}

TEST_P(CudaWidth, ActivatesAsTheHost) {
  const std::int64_t width = GetParam();
  constexpr std::int64_t kRows = 259;
  const auto size = static_cast<std::size_t>(kRows * width);
  const Floats input = random_floats(size, 1, 3);
  Floats output(size);
  gelu(parallel_, input, output);
  Floats gradient = random_floats(size, 2);
  const OnDevice<Bf16> device_gradient(rounded(gradient));
  Floats sums(static_cast<std::size_t>(width));
  Floats plain_sums(static_cast<std::size_t>(width));
  const OnDevice<float> device_sums(sums);
  const OnDevice<float> device_plain_sums(sums);
  add_row_sums(parallel_, gradient, plain_sums);
  gelu_backward(parallel_, input, gradient);
  add_row_sums(parallel_, gradient, sums);

  const OnDevice<Bf16> device_input(rounded(input));
  const OnDevice<Bf16> device_output(size);
  gpu::gelu(device_input.get(), kRows * width, device_output.get(), stream());
  expect_near(widened(device_output.values()), output, kRounding);
  const OnDevice<float> partial_sums(static_cast<std::size_t>(kRowPartialSums * width));
  const DeviceRows rows = {kRows, width, device_gradient.get(), partial_sums.get()};
  gpu::add_row_sums(rows, device_plain_sums.get(), stream());
  expect_near(device_plain_sums.values(), plain_sums, 1e-4);
  gpu::gelu_backward(rows, device_input.get(), device_sums.get(), stream());
  expect_near(widened(device_gradient.values()), gradient, kRounding);
  expect_near(device_sums.values(), sums, kRounding);
}

INSTANTIATE_TEST_SUITE_P(Widths,
                         CudaWidth,
                         ::testing::Values(64, 128, 320, 768, 1024, 1600, 2048),
                         ::testing::PrintToStringParamName());

TEST_F(CudaTraining, PredictsAsTheHost) {
  constexpr std::int64_t kRows = 33;
  constexpr std::int64_t kFirst = 5;
  for (const std::int64_t vocabulary : {9, 1000, 50'257}) {
    const std::int64_t stride = (vocabulary + 127) / 128 * 128;
    Floats logits = random_floats(static_cast<std::size_t>(kRows * stride), 1, 3);
    std::vector<std::int32_t> targets(kFirst + kRows, kNoTarget);
    for (std::int64_t row = 0; row < kRows; ++row) {
      if (row % 4 != 0) {
        targets[static_cast<std::size_t>(kFirst + row)] =
            static_cast<std::int32_t>(row * 37 % vocabulary);
      }
    }
    // Of two highest logits the lower id counts.
    logits[static_cast<std::size_t>(stride + 3)] = 30;
    logits[static_cast<std::size_t>(stride + 7)] = 30;
    targets[kFirst + 1] = 3;
    logits[static_cast<std::size_t>(2 * stride + 3)] = 30;
    logits[static_cast<std::size_t>(2 * stride + 7)] = 30;
    targets[kFirst + 2] = 7;
    const OnDevice<Bf16> device_logits(rounded(logits));
    const OnDevice<std::int32_t> device_targets(targets);
    const OnDevice<float> losses(targets.size());
    const OnDevice<std::uint8_t> correct(targets.size());
    const DevicePredictions predictions = {kFirst,
                                           kRows,
                                           vocabulary,
                                           stride,
                                           device_logits.get(),
                                           device_targets.get(),
                                           losses.get(),
                                           correct.get()};
    predict(predictions, false, stream());
    const Floats evaluated = losses.values();
    predict(predictions, true, stream());
    EXPECT_EQ(losses.values(), evaluated);

    Floats expected_losses;
    std::vector<std::uint8_t> expected_correct;
    for (std::int64_t row = 0; row < kRows; ++row) {
      const std::int32_t target = targets[static_cast<std::size_t>(kFirst + row)];
      const std::span<float> all = std::span(logits).subspan(static_cast<std::size_t>(row * stride),
                                                             static_cast<std::size_t>(stride));
      const std::span<float> known = all.first(static_cast<std::size_t>(vocabulary));
      if (target == kNoTarget) {
        std::fill(all.begin(), all.end(), 0.0F);
        expected_losses.push_back(0);
        expected_correct.push_back(0);
      } else {
        std::fill(all.begin() + vocabulary, all.end(), 0.0F);
        const Prediction prediction = predict_backward(known, target);
        expected_losses.push_back(prediction.loss);
        expected_correct.push_back(prediction.is_correct ? 1 : 0);
      }
    }
    EXPECT_EQ(expected_correct[1], 1);
    EXPECT_EQ(expected_correct[2], 0);
    const std::vector<std::uint8_t> found_correct = correct.values();
    EXPECT_EQ(std::vector(found_correct.begin() + kFirst, found_correct.end()), expected_correct);
    expect_near(Floats(evaluated.begin() + kFirst, evaluated.end()), expected_losses, 1e-4);
    const Floats found = widened(device_logits.values());
    EXPECT_LE(relative_distance(found.data(), logits.data(), found.size()), kRounding);
  }
}

TEST_F(CudaTraining, FindsThePositionsOfTheHost) {
  for (const BatchShape& shape : {BatchShape{3, 50, 51}, BatchShape{5, 16, 16}}) {
    for (const std::int64_t num_padding : {0, 12}) {
      constexpr std::int64_t kVocabulary = 90;
      // Some ids are unknown.
      const Batch batch = random_batches(shape, kVocabulary + 5, 1, num_padding, 3).front();
      const std::unique_ptr<StagingSlot> host_slot = make_host_device()->make_slot(shape);
      const PackedPositions expected = packed_positions(host_slot->upload(batch), kVocabulary);
      const std::unique_ptr<StagingSlot> slot = device_->make_slot(shape);
      const auto count = static_cast<std::size_t>(shape.positions());
      const OnDevice<std::uint32_t> tokens(count);
      const OnDevice<std::int32_t> targets(count);
      const OnDevice<std::int32_t> begins(count);
      const OnDevice<std::int32_t> ends(count);
      const OnDevice<std::int32_t> cu_seqlens(count + 1);
      const OnDevice<std::int32_t> num_segments(1);
      const OnDevice<TrainingState> state(std::vector<TrainingState>(1));
      find_positions(slot->upload(batch),
                     kVocabulary,
                     {},
                     {shape.positions(),
                      tokens.get(),
                      targets.get(),
                      begins.get(),
                      ends.get(),
                      cu_seqlens.get(),
                      num_segments.get()},
                     state.get(),
                     stream());
      EXPECT_EQ(tokens.values(), expected.tokens);
      EXPECT_EQ(targets.values(), expected.targets);
      EXPECT_EQ(begins.values(), expected.begins);
      EXPECT_EQ(ends.values(), expected.ends);
      EXPECT_EQ(num_segments.values().front(), std::ssize(batch.cu_seqlens) - 1);
      const TrainingState found = state.values().front();
      EXPECT_EQ(found.batch_tokens, static_cast<unsigned long long>(expected.num_tokens));
      EXPECT_EQ(found.batch_unknown, static_cast<unsigned long long>(expected.num_unknown));
    }
  }
}

constexpr TransformerShape kShape = {
    .vocabulary = 300, .max_length = 96, .width = 128, .layers = 3, .heads = 2};
constexpr BatchShape kBatchShape{5, 96, 97};

// The gradient of one batch as a trainer sees it: what its first step would be taken with. A rate
// of 0 leaves the parameters as they are.
TEST_F(CudaTraining, GivesTheHostsGradientOfEveryTensor) {
  const Batch batch = random_batches(kBatchShape, kShape.vocabulary, 1, 40, 1).front();
  const TransformerLayout layout = transformer_layout(kShape, 1);
  const TransformerLayout device_layout = transformer_layout(kShape, kDeviceRowStep);
  Floats parameters = initial_parameters(layout, 1);
  // Larger than a new model's, so that every part of it matters; and what bf16 can hold.
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal(0, 0.05F);
  for (float& parameter : parameters) {
    parameter = to_float(to_bf16(2 * parameter + normal(random)));
  }
  const std::unique_ptr<StagingSlot> host_slot = make_host_device()->make_slot(kBatchShape);
  const PackedPositions positions = packed_positions(host_slot->upload(batch), kShape.vocabulary);
  Floats expected(parameters.size());
  HostTransformer host(kShape, layout, kBatchShape.positions(), 100, 1);
  const BatchLoss loss = host.add_gradient(parameters, positions, expected);

  CudaTransformer transformer(kShape, device_layout, kBatchShape.positions(), 100);
  const OnDevice<float> device_parameters(in_layout(parameters, layout, device_layout));
  const auto size = static_cast<std::size_t>(device_layout.size);
  const OnDevice<Bf16> device_rounded(size);
  round_to_bf16(device_parameters.get(), device_layout.size, device_rounded.get(), stream());
  const OnDevice<float> gradient{Floats(size)};
  const OnDevice<std::uint32_t> tokens(positions.tokens);
  const OnDevice<std::int32_t> targets(positions.targets);
  const OnDevice<std::int32_t> begins(positions.begins);
  const OnDevice<std::int32_t> ends(positions.ends);
  const OnDevice<std::int32_t> cu_seqlens(batch.cu_seqlens);
  const OnDevice<std::int32_t> num_segments(
      std::vector{static_cast<std::int32_t>(batch.cu_seqlens.size()) - 1});
  const OnDevice<TrainingState> state(std::vector<TrainingState>(1));
  const DevicePositions on_device = {kBatchShape.positions(),
                                     tokens.get(),
                                     targets.get(),
                                     begins.get(),
                                     ends.get(),
                                     cu_seqlens.get(),
                                     num_segments.get()};
  transformer.add_gradient({.count = device_layout.size,
                            .num_decaying = device_layout.num_decaying,
                            .parameters = device_parameters.get(),
                            .rounded = device_rounded.get(),
                            .gradient = gradient.get()},
                           on_device,
                           state.get(),
                           stream());
  const TrainingTotals totals = state.values().front().totals;
  EXPECT_EQ(totals.num_scored, positions.num_scored);
  EXPECT_NEAR(totals.loss_sum / loss.loss_sum, 1, 1e-3);
  const Floats found = in_layout(gradient.values(), device_layout, layout);
  for (const TransformerTensor& tensor : layout.tensors) {
    EXPECT_LE(relative_distance(found.data() + tensor.offset,
                                expected.data() + tensor.offset,
                                static_cast<std::size_t>(tensor.size())),
              0.03)
        << tensor.name;
  }
}

LmTrainOptions training_options() {
  LmTrainOptions options;
  options.shape = kShape;
  options.optimizer.learning_rate = 3e-3;
  options.optimizer.warmup_steps = 3;
  options.tile = 200;
  return options;
}

std::vector<Report> reports_of(Device& device,
                               const LmTrainOptions& options,
                               const std::vector<Batch>& batches) {
  const Floats parameters = initial_parameters(transformer_layout(options.shape, 1), 1);
  std::unique_ptr<TransformerTrainer> trainer;
  if (device.backend() == Backend::kCuda) {
    trainer = std::make_unique<CudaTrainer>(
        options.shape, options.optimizer, parameters, kBatchShape, options.tile, 4);
  } else {
    trainer = std::make_unique<HostTrainer>(
        options.shape, options.optimizer, parameters, kBatchShape.positions(), options.tile, 1);
  }
  LmTrain stage(options, std::move(trainer));
  std::vector<Report> reports;
  run_stage(device, stage, batches, 1, &reports);
  return reports;
}

TEST_F(CudaTraining, GivesTheHostsLossesForTenSteps) {
  const std::vector<Batch> batches = random_batches(kBatchShape, 250, 20, 40, 1);
  LmTrainOptions options = training_options();
  options.accumulate = 2;
  const std::vector<Report> expected = reports_of(*make_host_device(), options, batches);
  const std::vector<Report> found = reports_of(*device_, options, batches);
  ASSERT_EQ(found.size(), 20U);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::vector<Result>& one = found[i].figures;
    const std::vector<Result>& other = expected[i].figures;
    EXPECT_EQ(integer_result(one, "step"), integer_result(other, "step"));
    EXPECT_EQ(integer_result(one, "tokens"), integer_result(other, "tokens"));
    EXPECT_NEAR(number_result(one, "loss"), number_result(other, "loss"), 4e-3) << i;
    EXPECT_NEAR(number_result(one, "accuracy"), number_result(other, "accuracy"), 0.02) << i;
    if (integer_result(one, "step") > 0) {
      EXPECT_NEAR(
          number_result(one, "gradient_norm") / number_result(other, "gradient_norm"), 1, 0.02)
          << i;
      EXPECT_EQ(number_result(one, "learning_rate"), number_result(other, "learning_rate"));
    }
  }
  const auto loss = [](const Report& report) { return number_result(report.figures, "loss"); };
  EXPECT_LT(loss(found.back()), loss(found.front()) - 0.05);
}

TEST_F(CudaTraining, GivesTheSameLossesAgain) {
  const std::vector<Batch> batches = random_batches(kBatchShape, 250, 8, 40, 1);
  const std::vector<Report> first = reports_of(*device_, training_options(), batches);
  const std::vector<Report> second = reports_of(*device_, training_options(), batches);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    for (const char* name : {"loss", "accuracy", "gradient_norm"}) {
      const double one = number_result(first[i].figures, name);
      const double other = number_result(second[i].figures, name);
      EXPECT_EQ(one, other) << name << i;
    }
  }
}

TEST_F(CudaTraining, EvaluatesAsTheHost) {
  const Batch batch = random_batches(kBatchShape, 300, 1, 40, 1).front();
  const LmTrainOptions options = training_options();
  const Floats parameters = initial_parameters(transformer_layout(kShape, 1), 1);
  const auto evaluated = [&](Device& device, TransformerTrainer& trainer) {
    const std::unique_ptr<StagingSlot> slot = device.make_slot(kBatchShape);
    const DeviceBatch on_device = slot->upload(batch);
    trainer.evaluate(on_device, device.compute_stream());
    trainer.train(on_device, std::nullopt, device.compute_stream());
    trainer.enqueue_totals(device.compute_stream());
    trainer.wait_for_totals();
    return trainer.next_totals().value();
  };
  HostTrainer host(kShape, options.optimizer, parameters, kBatchShape.positions(), options.tile, 1);
  CudaTrainer cuda(kShape, options.optimizer, parameters, kBatchShape, options.tile, 4);
  const TrainingTotals expected = evaluated(*make_host_device(), host);
  const TrainingTotals found = evaluated(*device_, cuda);
  EXPECT_EQ(found.num_evaluated, expected.num_evaluated);
  EXPECT_EQ(found.num_tokens, expected.num_tokens);
  EXPECT_NEAR(found.evaluated_loss_sum / expected.evaluated_loss_sum, 1, 1e-3);
  EXPECT_DOUBLE_EQ(found.evaluated_loss_sum, found.loss_sum);
}

// A snapshot after three batches of a step of two; both trainers go on with the fourth.
TEST_F(CudaTraining, GoesOnFromASnapshotAsIfNothingHadHappened) {
  const std::vector<Batch> batches = random_batches(kBatchShape, 300, 6, 40, 1);
  LmTrainOptions options = training_options();
  options.accumulate = 2;
  const Floats parameters = initial_parameters(transformer_layout(kShape, 1), 1);
  const auto make_trainer = [&](std::uint64_t seed) {
    return std::make_unique<CudaTrainer>(kShape,
                                         options.optimizer,
                                         initial_parameters(transformer_layout(kShape, 1), seed),
                                         kBatchShape,
                                         options.tile,
                                         4);
  };
  std::unique_ptr<CudaTrainer> trainer = make_trainer(1);
  trainer->reserve_snapshot();
  const std::unique_ptr<StagingSlot> slot = device_->make_slot(kBatchShape);
  const DeviceStream stream = device_->compute_stream();
  const auto train = [&](CudaTrainer& on, std::size_t batch) {
    slot->wait_until_writable();
    const DeviceBatch on_device = slot->upload(batches[batch]);
    std::optional<AdamWStep> step;
    if (batch % 2 == 1) {
      step = adamw_step(options.optimizer, static_cast<std::int64_t>(batch / 2 + 1));
    }
    on.train(on_device, step, stream);
    slot->release();
  };
  for (std::size_t batch = 0; batch < 3; ++batch) {
    train(*trainer, batch);
  }
  std::unique_ptr<PendingSnapshot> pending = trainer->enqueue_snapshot(stream);
  ASSERT_TRUE(pending);
  EXPECT_FALSE(trainer->enqueue_snapshot(stream));
  for (std::size_t batch = 3; batch < 6; ++batch) {
    train(*trainer, batch);
  }
  const TrainingSnapshot snapshot = pending->wait();
  EXPECT_EQ(snapshot.num_batches, 3);
  EXPECT_GT(snapshot.gradient_scored, 0);
  EXPECT_NE(snapshot.parameters, parameters);
  pending.reset();
  EXPECT_TRUE(trainer->enqueue_snapshot(stream));
  trainer->enqueue_totals(stream);
  trainer->wait_for_totals();

  const std::unique_ptr<CudaTrainer> other = make_trainer(2);
  other->load(snapshot);
  for (std::size_t batch = 3; batch < 6; ++batch) {
    train(*other, batch);
  }
  other->enqueue_totals(stream);
  other->wait_for_totals();
  EXPECT_EQ(other->read_parameters(), trainer->read_parameters());
  EXPECT_EQ(other->next_totals().value().num_tokens, trainer->next_totals().value().num_tokens);
}

TEST_F(CudaTraining, EndsWhereTheLossIsNotFinite) {
  const std::vector<Batch> batches = random_batches(kBatchShape, 300, 6, 0, 1);
  LmTrainOptions options = training_options();
  const TransformerLayout layout = transformer_layout(kShape, 1);
  Floats parameters = initial_parameters(layout, 1);
  parameters[static_cast<std::size_t>(layout.position_embedding + 20 * kShape.width)] = INFINITY;
  LmTrain stage(options,
                std::make_unique<CudaTrainer>(
                    kShape, options.optimizer, parameters, kBatchShape, options.tile, 4));
  try {
    run_stage(*device_, stage, batches, 1, nullptr);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("the loss is not finite at step 1, batch 0"));
  }
}

}  // namespace
}  // namespace penstock::gpu
