#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpu/host/parallel_blocks.h"

// The parts of a transformer that are no matrix products, forward and backward, in fp32. Arrays are
// row-major; a row is a position. What a backward function gives to `d_...` of a weight or a bias
// is added to what stands there. No sum depends on the number of threads.
namespace penstock::gpu {

// What normalisation keeps of each row for the way back [rows].
struct NormStatistics {
  std::vector<float> mean;
  std::vector<float> inverse_deviation;
};

struct Norm {
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width]
};

struct NormGradient {
  float* weight = nullptr;
  float* bias = nullptr;
};

// output = (input - mean) / sqrt(variance + 1e-5) * weight + bias, row by row [rows, width].
void layer_norm(const ParallelBlocks& parallel,
                std::span<const float> input,
                const Norm& norm,
                std::int64_t width,
                std::span<float> output,
                NormStatistics& statistics);
// Adds the gradient of the input to `d_input`.
void layer_norm_backward(const ParallelBlocks& parallel,
                         std::span<const float> input,
                         const Norm& norm,
                         std::int64_t width,
                         const NormStatistics& statistics,
                         std::span<const float> d_output,
                         std::span<float> d_input,
                         const NormGradient& d_norm);

// output = gelu(input): input / 2 * (1 + tanh(sqrt(2 / pi) * (input + 0.044715 * input^3)))
void gelu(const ParallelBlocks& parallel, std::span<const float> input, std::span<float> output);
// Turns the gradient of the output into that of the input.
void gelu_backward(const ParallelBlocks& parallel,
                   std::span<const float> input,
                   std::span<float> gradient);

// values[row] = bias, for a product to be added to.
void fill_rows(const ParallelBlocks& parallel,
               std::span<const float> bias,
               std::span<float> values);
// values[row] = more[row] + bias
void fill_rows(const ParallelBlocks& parallel,
               std::span<const float> bias,
               std::span<const float> more,
               std::span<float> values);
// Adds the sum of the rows to `sums`.
void add_row_sums(const ParallelBlocks& parallel,
                  std::span<const float> values,
                  std::span<float> sums);

// A stretch of positions that attention does not look out of.
struct AttentionSegment {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// Sizes of causal attention within segments that cover the positions.
struct Attention {
  std::span<const AttentionSegment> segments;
  std::int64_t positions = 0;
  std::int64_t heads = 0;
  std::int64_t head_width = 0;

  std::int64_t width() const { return heads * head_width; }
};

// For each head h and position i, over the positions j of its segment up to and with i:
//   output[i] = sum of softmax over j of (query[i] * key[j] / sqrt(head_width)) * value[j]
// `projected` [positions, 3 * width] holds queries, keys and values, head after head in each.
// `log_sums` [heads, positions] gets the softmax's logsumexp.
void attend(const ParallelBlocks& parallel,
            const Attention& attention,
            std::span<const float> projected,
            std::span<float> output,
            std::span<float> log_sums);
// Overwrites `d_projected`.
void attend_backward(const ParallelBlocks& parallel,
                     const Attention& attention,
                     std::span<const float> projected,
                     std::span<const float> output,
                     std::span<const float> log_sums,
                     std::span<const float> d_output,
                     std::span<float> d_projected);

// What is known of a prediction.
struct Prediction {
  float loss = 0;           // -log of the target's probability
  bool is_correct = false;  // the target is the lowest id of the highest logit
};

Prediction predict(std::span<const float> logits, std::int64_t target);
// Also turns the logits into the gradient of the loss.
Prediction predict_backward(std::span<float> logits, std::int64_t target);

}  // namespace penstock::gpu
