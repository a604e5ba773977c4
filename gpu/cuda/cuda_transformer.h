#pragma once

#include <cstdint>
#include <vector>

#include <cuda_runtime_api.h>

#include "gpu/cuda/attention_kernels.h"
#include "gpu/cuda/blas_lt.h"
#include "gpu/cuda/handles.h"
#include "gpu/cuda/transformer_kernels.h"
#include "gpu/transformer.h"

namespace penstock::gpu {

// Computes a transformer of GPT-2's architecture (see gpu/lm_train.h) on batches of one size,
// forward and backward, on the device. Everything is allocated by the constructor. The parameters
// are the caller's, in a layout for a row_step of kDeviceRowStep.
class CudaTransformer {
 public:
  // Of batches of `num_positions` positions; logits exist for `tile` of them at a time. Heads have
  // kAttentionHeadWidth elements.
  CudaTransformer(const TransformerShape& shape,
                  const TransformerLayout& layout,
                  std::int64_t num_positions,
                  std::int64_t tile);

  // Device memory that grows with the positions of a batch, but for a little.
  static std::int64_t bytes_per_position(const TransformerShape& shape);

  // Enqueue the work on positions that lie on the device by then. What they find goes to the state.
  void evaluate(const DeviceParameters& parameters,
                const DevicePositions& positions,
                TrainingState* state,
                cudaStream_t stream);
  // Also adds the gradient of the sum of the losses to that of the parameters.
  void add_gradient(const DeviceParameters& parameters,
                    const DevicePositions& positions,
                    TrainingState* state,
                    cudaStream_t stream);

 private:
  // See HostTransformer.
  struct Activations {
    Activations(const TransformerShape& shape, std::int64_t num_positions);

    DeviceArray<Bf16> input;
    DeviceArray<float> mean_1;
    DeviceArray<float> inverse_deviation_1;
    DeviceArray<Bf16> normed_1;
    DeviceArray<Bf16> projected;
    DeviceArray<float> log_sums;
    DeviceArray<Bf16> attended;
    DeviceArray<Bf16> middle;
    DeviceArray<float> mean_2;
    DeviceArray<float> inverse_deviation_2;
    DeviceArray<Bf16> normed_2;
    DeviceArray<Bf16> up;
    DeviceArray<Bf16> active;
  };
  struct Linear {
    std::int64_t weight = 0;  // offset of [inputs, outputs]
    std::int64_t bias = 0;
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
  };
  // What every part of the work gets.
  struct Work {
    const DeviceParameters& parameters;
    const DevicePositions& positions;
    cudaStream_t stream;
  };

  void forward(const Work& work);
  void forward_layer(const Work& work, std::size_t layer);
  void backward_layer(const Work& work, std::size_t layer);
  void predict_all(const Work& work, bool goes_back);
  // output = input * weight + bias + addend
  void multiply(
      const Work& work, const Linear& linear, const Bf16* input, const Bf16* addend, Bf16* output);
  // d_input = d_output * weight^T, and adds the gradient of the weight.
  void multiply_backward(const Work& work,
                         const Linear& linear,
                         const Bf16* input,
                         const Bf16* d_output,
                         Bf16* d_input);
  DeviceNorm norm_1(const Work& work, std::size_t layer);
  DeviceNorm norm_2(const Work& work, std::size_t layer);
  DeviceNorm final_norm(const Work& work);
  void norm_backward(const Work& work,
                     const DeviceNorm& norm,
                     std::int64_t weight,
                     std::int64_t bias,
                     bool adds,
                     float* d_input_sums);
  DeviceAttention attention(const Work& work, std::size_t layer);
  Bf16* output_of(std::size_t layer);

  const TransformerShape shape_;
  const TransformerLayout layout_;
  const std::int64_t num_positions_;
  const std::int64_t tile_;

  BlasLt blas_;
  std::vector<Activations> layers_;
  DeviceArray<Bf16> output_;  // the residual stream behind the last layer
  DeviceArray<float> final_mean_;
  DeviceArray<float> final_inverse_deviation_;
  DeviceArray<Bf16> final_;
  DeviceArray<Bf16> logits_;  // [tile, vocabulary_rows]
  DeviceArray<float> losses_;
  DeviceArray<std::uint8_t> correct_;
  DeviceArray<Bf16> d_residual_;
  DeviceArray<Bf16> d_normed_;
  DeviceArray<Bf16> d_wide_;  // [positions, 4 * width]
  DeviceArray<float> means_;  // of attention's way back [heads, positions]
  DeviceArray<float> partial_sums_;
  DeviceArray<std::uint32_t> ordered_tokens_;
  DeviceArray<std::int32_t> ordered_positions_;
  DeviceArray<std::int32_t> all_positions_;
  DeviceArray<std::byte> order_memory_;
};
// Rows of the token embedding: products with it are fastest in tiles.
inline constexpr std::int64_t kDeviceRowStep = 128;

}  // namespace penstock::gpu
