#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpu/host/parallel_blocks.h"
#include "gpu/host/transformer_kernels.h"
#include "gpu/packed_positions.h"
#include "gpu/transformer.h"

namespace penstock::gpu {

// What the predictions of a batch gave.
struct BatchLoss {
  double loss_sum = 0;  // of the positions with a target, nats
  std::int64_t num_correct = 0;
  // First position whose loss is no finite number, or -1.
  std::int64_t first_not_finite = -1;
};

// Computes a transformer of GPT-2's architecture (see gpu/lm_train.h) on batches of one size, in
// fp32, forward and backward. The parameters are the caller's. Used by one thread at a time.
class HostTransformer {
 public:
  // Of batches of `num_positions` positions; logits exist for `tile` of them at a time.
  HostTransformer(const TransformerShape& shape,
                  const TransformerLayout& layout,
                  std::int64_t num_positions,
                  std::int64_t tile,
                  int threads);

  // Bytes of memory that it takes for each position, beside logits and what is small.
  static std::int64_t bytes_per_position(const TransformerShape& shape);

  BatchLoss evaluate(std::span<const float> parameters, const PackedPositions& positions);
  // Also adds the gradient of the sum of the losses to `gradient`, an array in the same layout.
  BatchLoss add_gradient(std::span<const float> parameters,
                         const PackedPositions& positions,
                         std::span<float> gradient);

 private:
  // What a layer keeps for the way back; rows are positions.
  struct Activations {
    std::vector<float> input;  // the residual stream [positions, width]
    NormStatistics statistics_1;
    std::vector<float> normed_1;   // [positions, width]
    std::vector<float> projected;  // [positions, 3 * width]
    std::vector<float> log_sums;   // [heads, positions]
    std::vector<float> attended;   // [positions, width]
    std::vector<float> middle;     // the residual stream [positions, width]
    NormStatistics statistics_2;
    std::vector<float> normed_2;  // [positions, width]
    std::vector<float> up;        // [positions, 4 * width]
    std::vector<float> active;    // [positions, 4 * width]
  };
  // A linear layer in the parameters.
  struct Linear {
    std::int64_t weight = 0;  // offset of [inputs, outputs]
    std::int64_t bias = 0;
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
  };

  void find_segments(const PackedPositions& positions);
  void embed(std::span<const float> parameters, const PackedPositions& positions);
  void forward(std::span<const float> parameters, const PackedPositions& positions);
  void forward_layer(std::span<const float> parameters, std::size_t layer);
  void backward_layer(std::span<const float> parameters,
                      std::size_t layer,
                      std::span<float> gradient);
  void embed_backward(const PackedPositions& positions, std::span<float> gradient);
  // Predictions of every tile; with a gradient also the way back to the residual stream.
  BatchLoss predict_all(std::span<const float> parameters,
                        const PackedPositions& positions,
                        std::span<float> gradient);
  // output += input * weight
  void add_product(std::span<const float> parameters,
                   const Linear& linear,
                   std::span<const float> input,
                   std::span<float> output) const;
  // d_input = d_output * weight^T, and the gradient of weight and bias.
  void linear_backward(std::span<const float> parameters,
                       const Linear& linear,
                       std::span<const float> input,
                       std::span<const float> d_output,
                       std::span<float> d_input,
                       std::span<float> gradient) const;
  Linear attention_linear(std::size_t layer) const;
  Linear projection_linear(std::size_t layer) const;
  Linear up_linear(std::size_t layer) const;
  Linear down_linear(std::size_t layer) const;
  Attention attention() const;
  std::span<float> output_of(std::size_t layer);

  const TransformerShape shape_;
  const TransformerLayout layout_;
  const std::int64_t num_positions_;
  const std::int64_t tile_;
  const ParallelBlocks parallel_;

  // Of the batch that is worked on.
  std::vector<AttentionSegment> segments_;
  std::vector<Activations> layers_;
  std::vector<float> output_;  // the residual stream behind the last layer
  NormStatistics final_statistics_;
  std::vector<float> final_;             // [positions, width]
  std::vector<float> logits_;            // [tile, vocabulary]
  std::vector<float> d_residual_;        // [positions, width]
  std::vector<float> d_normed_;          // [positions, width]
  std::vector<float> d_wide_;            // [positions, 4 * width]
  std::vector<Prediction> predictions_;  // of a tile
};

}  // namespace penstock::gpu
