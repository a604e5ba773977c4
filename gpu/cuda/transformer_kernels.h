#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "gpu/adamw.h"
#include "gpu/device_stage.h"
#include "gpu/lm_weights.h"
#include "gpu/transformer_trainer.h"

// The kernels of lm_train but for attention; see gpu/lm_train.h for what they compute. Arrays are
// row-major; a row is a position. Every pointer is to device memory that stays alive until the
// kernel is done; functions throw CudaError. No kernel adds floating-point numbers in an order that
// could differ between runs or devices.
namespace penstock::gpu {

// Widths are multiples of it, and at most kMaxDeviceWidth.
inline constexpr std::int64_t kDeviceWidthStep = 64;
inline constexpr std::int64_t kMaxDeviceWidth = 2048;

// PackedPositions on the device, and the boundaries of segments.
struct DevicePositions {
  std::int64_t count = 0;
  std::uint32_t* tokens = nullptr;       // [count]
  std::int32_t* targets = nullptr;       // [count]
  std::int32_t* begins = nullptr;        // [count]
  std::int32_t* ends = nullptr;          // [count]
  std::int32_t* cu_seqlens = nullptr;    // [count + 1]
  std::int32_t* num_segments = nullptr;  // [1]
};

// What kernels know of the training.
struct TrainingState {
  TrainingTotals totals;
  std::int64_t gradient_scored = 0;  // losses whose gradient was added up since the last step
  unsigned long long batch_tokens = 0;
  unsigned long long batch_unknown = 0;
  AdamWStep step;
  float gradient_scale = 0;  // what the gradient is to be multiplied with; 0: there is no step
};

// Fills the positions of a batch, and notes the step that will be taken with it. Takes the batch's
// memory, so that what comes after it depends on none that changes from batch to batch.
void find_positions(const DeviceBatch& batch,
                    std::int64_t vocabulary,
                    const AdamWStep& step,
                    const DevicePositions& positions,
                    TrainingState* state,
                    cudaStream_t stream);

// Rounds `count` elements, a multiple of 64.
void round_to_bf16(const float* from, std::int64_t count, Bf16* to, cudaStream_t stream);

// output [count, width] = token_embedding[token] + position_embedding[position in its segment]
void embed(const DevicePositions& positions,
           std::int64_t width,
           const float* token_embedding,
           const float* position_embedding,
           Bf16* output,
           cudaStream_t stream);

// What normalisation keeps of each row for the way back [rows].
struct DeviceNorm {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  const Bf16* input = nullptr;    // [rows, width]
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width]
  float* mean = nullptr;          // [rows]
  float* inverse_deviation = nullptr;
};

// Fills output [rows, width], mean and inverse_deviation.
void layer_norm(const DeviceNorm& norm, Bf16* output, cudaStream_t stream);

struct DeviceNormGradient {
  const Bf16* d_output = nullptr;  // [rows, width]
  const Bf16* d_before = nullptr;  // what the gradient of the input is added to; null: nothing
  Bf16* d_input = nullptr;         // [rows, width]; may be d_before
  float* d_weight = nullptr;       // [width], added to, as are these:
  float* d_bias = nullptr;
  float* d_input_sums = nullptr;  // the sums of the rows of d_input; null: not wanted
  float* partial_sums = nullptr;  // of kNormPartialSums * width elements
};
inline constexpr std::int64_t kNormPartialSums = 3 * 256;
void layer_norm_backward(const DeviceNorm& norm,
                         const DeviceNormGradient& gradient,
                         cudaStream_t stream);

// `count` is a multiple of 8.
void gelu(const Bf16* input, std::int64_t count, Bf16* output, cudaStream_t stream);

// A matrix whose rows are summed up.
struct DeviceRows {
  std::int64_t rows = 0;
  std::int64_t columns = 0;  // a multiple of 8
  Bf16* values = nullptr;
  float* partial_sums = nullptr;  // of kRowPartialSums * columns elements
};
inline constexpr std::int64_t kRowPartialSums = 128;
// Turns the gradient of gelu's output into that of its input, and adds the sum of its rows to
// `sums` [columns].
void gelu_backward(const DeviceRows& gradient, const Bf16* input, float* sums, cudaStream_t stream);
void add_row_sums(const DeviceRows& rows, float* sums, cudaStream_t stream);

// Predictions of `count` positions from `first` on.
struct DevicePredictions {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t vocabulary = 0;
  std::int64_t stride = 0;                // of the logits, a multiple of 8, at least the vocabulary
  Bf16* logits = nullptr;                 // [count, stride]
  const std::int32_t* targets = nullptr;  // [positions]
  float* losses = nullptr;                // [positions]; 0 without a target
  std::uint8_t* correct = nullptr;        // [positions]
};
// Fills losses and correct. With `goes_back` the logits become the gradient of the sum of the
// losses: 0 without a target and beyond the vocabulary.
void predict(const DevicePredictions& predictions, bool goes_back, cudaStream_t stream);

// Adds the batch's losses to what was trained on, or to what was evaluated.
void add_losses(const DevicePositions& positions,
                const float* losses,
                const std::uint8_t* correct,
                bool is_evaluation,
                TrainingState* state,
                cudaStream_t stream);

// Sorting of positions by token, for the gradient of the embedding.
struct TokenOrder {
  std::uint32_t* tokens = nullptr;    // [positions], ascending
  std::int32_t* positions = nullptr;  // of each; of equal tokens in ascending order
  const std::int32_t* all = nullptr;  // 0, 1, 2, ... [positions]
  std::byte* memory = nullptr;        // of order_memory_bytes()
  std::size_t memory_bytes = 0;
};
std::size_t order_memory_bytes(std::int64_t num_positions, std::int64_t vocabulary);
void fill_ascending(std::int32_t* values, std::int64_t count, cudaStream_t stream);
void order_tokens(const DevicePositions& positions,
                  std::int64_t vocabulary,
                  const TokenOrder& order,
                  cudaStream_t stream);

// Adds the rows of the gradient [count, width] to those of the embeddings' gradients.
void embed_backward(const DevicePositions& positions,
                    const TokenOrder& order,
                    const Bf16* gradient,
                    std::int64_t width,
                    std::int64_t max_length,
                    float* d_token_embedding,
                    float* d_position_embedding,
                    cudaStream_t stream);

// What AdamW works on; arrays of `count` elements, a multiple of 64, of which the first
// `num_decaying`, a multiple too, decay.
struct DeviceParameters {
  std::int64_t count = 0;
  std::int64_t num_decaying = 0;
  float* parameters = nullptr;
  Bf16* rounded = nullptr;  // the same in bf16
  float* gradient = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  double* partial_squares = nullptr;  // [kSquarePartialSums]
};
inline constexpr std::int64_t kSquarePartialSums = 1024;
// Takes the step that was noted, unless nothing is scored or something is not finite, and sets the
// gradient to 0.
void take_step(const DeviceParameters& parameters,
               const AdamWOptions& options,
               TrainingState* state,
               cudaStream_t stream);

// Counts the batch and looks at the clock.
void finish_batch(TrainingState* state, cudaStream_t stream);

}  // namespace penstock::gpu
