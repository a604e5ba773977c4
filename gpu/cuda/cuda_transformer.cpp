#include "gpu/cuda/cuda_transformer.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace penstock::gpu {
namespace {

const char* const kOption = "batch_size (and raise accumulate)";

std::int64_t partial_sums_of(std::int64_t width) {
  return std::max(kNormPartialSums * width, kRowPartialSums * 4 * width);
}

}  // namespace

CudaTransformer::Activations::Activations(const TransformerShape& shape, std::int64_t num_positions)
    : input(num_positions * shape.width, "what a layer keeps", kOption),
      mean_1(num_positions, "what a layer keeps", kOption),
      inverse_deviation_1(num_positions, "what a layer keeps", kOption),
      normed_1(num_positions * shape.width, "what a layer keeps", kOption),
      projected(num_positions * 3 * shape.width, "what a layer keeps", kOption),
      log_sums(num_positions * shape.heads, "what a layer keeps", kOption),
      attended(num_positions * shape.width, "what a layer keeps", kOption),
      middle(num_positions * shape.width, "what a layer keeps", kOption),
      mean_2(num_positions, "what a layer keeps", kOption),
      inverse_deviation_2(num_positions, "what a layer keeps", kOption),
      normed_2(num_positions * shape.width, "what a layer keeps", kOption),
      up(num_positions * 4 * shape.width, "what a layer keeps", kOption),
      active(num_positions * 4 * shape.width, "what a layer keeps", kOption) {}

CudaTransformer::CudaTransformer(const TransformerShape& shape,
                                 const TransformerLayout& layout,
                                 std::int64_t num_positions,
                                 std::int64_t tile)
    : shape_(shape),
      layout_(layout),
      num_positions_(num_positions),
      tile_(std::min(tile, num_positions)),
      output_(num_positions * shape.width, "the last layer's output", kOption),
      final_mean_(num_positions, "the last norm", kOption),
      final_inverse_deviation_(num_positions, "the last norm", kOption),
      final_(num_positions * shape.width, "the last norm", kOption),
      logits_(tile_ * layout.vocabulary_rows, "the logits of lm_train", "tile"),
      losses_(num_positions, "the losses of lm_train", kOption),
      correct_(num_positions, "the losses of lm_train", kOption),
      d_residual_(num_positions * shape.width, "gradients of positions", kOption),
      d_normed_(num_positions * shape.width, "gradients of positions", kOption),
      d_wide_(num_positions * 4 * shape.width, "gradients of positions", kOption),
      means_(num_positions * shape.heads, "gradients of positions", kOption),
      partial_sums_(partial_sums_of(shape.width), "partial sums", kOption),
      ordered_tokens_(num_positions, "the order of tokens", kOption),
      ordered_positions_(num_positions, "the order of tokens", kOption),
      all_positions_(num_positions, "the order of tokens", kOption),
      order_memory_(static_cast<std::int64_t>(order_memory_bytes(num_positions, shape.vocabulary)),
                    "the order of tokens",
                    kOption) {
  layers_.reserve(static_cast<std::size_t>(shape.layers));
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    layers_.emplace_back(shape, num_positions);
  }
  const Stream stream;
  fill_ascending(all_positions_.get(), num_positions, stream.get());
  stream.synchronize();
}

std::int64_t CudaTransformer::bytes_per_position(const TransformerShape& shape) {
  constexpr std::int64_t kWidthsOfALayer = 16;
  constexpr std::int64_t kFloatsOfALayer = 4;
  constexpr std::int64_t kOtherWidths = 8;
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  constexpr auto kBf16 = static_cast<std::int64_t>(sizeof(Bf16));
  return shape.layers *
             (kBf16 * kWidthsOfALayer * shape.width + kFloat * (kFloatsOfALayer + shape.heads)) +
         kBf16 * kOtherWidths * shape.width;
}

void CudaTransformer::evaluate(const DeviceParameters& parameters,
                               const DevicePositions& positions,
                               TrainingState* state,
                               cudaStream_t stream) {
  const Work work = {parameters, positions, stream};
  forward(work);
  predict_all(work, false);
  add_losses(positions, losses_.get(), correct_.get(), true, state, stream);
}

void CudaTransformer::add_gradient(const DeviceParameters& parameters,
                                   const DevicePositions& positions,
                                   TrainingState* state,
                                   cudaStream_t stream) {
  const Work work = {parameters, positions, stream};
  forward(work);
  predict_all(work, true);
  add_losses(positions, losses_.get(), correct_.get(), false, state, stream);
  norm_backward(work,
                final_norm(work),
                layout_.final_norm_weight,
                layout_.final_norm_bias,
                false,
                parameters.gradient + layout_.layers.back().down_bias);
  for (std::size_t layer = layers_.size(); layer-- > 0;) {
    backward_layer(work, layer);
  }
  const TokenOrder order = {ordered_tokens_.get(),
                            ordered_positions_.get(),
                            all_positions_.get(),
                            order_memory_.get(),
                            order_memory_.bytes()};
  order_tokens(positions, shape_.vocabulary, order, stream);
  embed_backward(positions,
                 order,
                 d_residual_.get(),
                 shape_.width,
                 shape_.max_length,
                 parameters.gradient + layout_.token_embedding,
                 parameters.gradient + layout_.position_embedding,
                 stream);
}

// The input of the layer, or what is behind the last one.
Bf16* CudaTransformer::output_of(std::size_t layer) {
  return layer < layers_.size() ? layers_[layer].input.get() : output_.get();
}

void CudaTransformer::forward(const Work& work) {
  embed(work.positions,
        shape_.width,
        work.parameters.parameters + layout_.token_embedding,
        work.parameters.parameters + layout_.position_embedding,
        output_of(0),
        work.stream);
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    forward_layer(work, layer);
  }
  layer_norm(final_norm(work), final_.get(), work.stream);
}

void CudaTransformer::forward_layer(const Work& work, std::size_t layer) {
  const std::int64_t width = shape_.width;
  const TransformerLayer& place = layout_.layers[layer];
  Activations& kept = layers_[layer];
  layer_norm(norm_1(work, layer), kept.normed_1.get(), work.stream);
  multiply(work,
           {place.attention_weight, place.attention_bias, width, 3 * width},
           kept.normed_1.get(),
           nullptr,
           kept.projected.get());
  attend(attention(work, layer), work.stream);
  multiply(work,
           {place.projection_weight, place.projection_bias, width, width},
           kept.attended.get(),
           kept.input.get(),
           kept.middle.get());
  layer_norm(norm_2(work, layer), kept.normed_2.get(), work.stream);
  multiply(work,
           {place.up_weight, place.up_bias, width, 4 * width},
           kept.normed_2.get(),
           nullptr,
           kept.up.get());
  gelu(kept.up.get(), num_positions_ * 4 * width, kept.active.get(), work.stream);
  multiply(work,
           {place.down_weight, place.down_bias, 4 * width, width},
           kept.active.get(),
           kept.middle.get(),
           output_of(layer + 1));
}

// The gradients of the biases behind the residual stream are the sums of its gradient's rows, which
// the norm gives that it came through before.
void CudaTransformer::backward_layer(const Work& work, std::size_t layer) {
  const std::int64_t width = shape_.width;
  const TransformerLayer& place = layout_.layers[layer];
  Activations& kept = layers_[layer];
  float* gradient = work.parameters.gradient;
  multiply_backward(work,
                    {place.down_weight, place.down_bias, 4 * width, width},
                    kept.active.get(),
                    d_residual_.get(),
                    d_wide_.get());
  gelu_backward({num_positions_, 4 * width, d_wide_.get(), partial_sums_.get()},
                kept.up.get(),
                gradient + place.up_bias,
                work.stream);
  multiply_backward(work,
                    {place.up_weight, place.up_bias, width, 4 * width},
                    kept.normed_2.get(),
                    d_wide_.get(),
                    d_normed_.get());
  norm_backward(work,
                norm_2(work, layer),
                place.norm_2_weight,
                place.norm_2_bias,
                true,
                gradient + place.projection_bias);
  multiply_backward(work,
                    {place.projection_weight, place.projection_bias, width, width},
                    kept.attended.get(),
                    d_residual_.get(),
                    d_normed_.get());
  attend_backward(
      attention(work, layer), {d_normed_.get(), means_.get(), d_wide_.get()}, work.stream);
  add_row_sums({num_positions_, 3 * width, d_wide_.get(), partial_sums_.get()},
               gradient + place.attention_bias,
               work.stream);
  multiply_backward(work,
                    {place.attention_weight, place.attention_bias, width, 3 * width},
                    kept.normed_1.get(),
                    d_wide_.get(),
                    d_normed_.get());
  norm_backward(work,
                norm_1(work, layer),
                place.norm_1_weight,
                place.norm_1_bias,
                true,
                layer > 0 ? gradient + layout_.layers[layer - 1].down_bias : nullptr);
}

void CudaTransformer::predict_all(const Work& work, bool goes_back) {
  const std::int64_t width = shape_.width;
  const Bf16* embedding = work.parameters.rounded + layout_.token_embedding;
  for (std::int64_t first = 0; first < num_positions_; first += tile_) {
    const std::int64_t count = std::min(tile_, num_positions_ - first);
    const Bf16* rows = final_.get() + first * width;
    blas_.multiply({.rows = count,
                    .columns = layout_.vocabulary_rows,
                    .depth = width,
                    .left = {rows, width},
                    .right = {embedding, width, true},
                    .output = logits_.get()},
                   work.stream);
    predict({.first = first,
             .count = count,
             .vocabulary = shape_.vocabulary,
             .stride = layout_.vocabulary_rows,
             .logits = logits_.get(),
             .targets = work.positions.targets,
             .losses = losses_.get(),
             .correct = correct_.get()},
            goes_back,
            work.stream);
    if (goes_back) {
      blas_.multiply({.rows = count,
                      .columns = width,
                      .depth = layout_.vocabulary_rows,
                      .left = {logits_.get(), layout_.vocabulary_rows},
                      .right = {embedding, width},
                      .output = d_normed_.get() + first * width},
                     work.stream);
      blas_.multiply({.rows = layout_.vocabulary_rows,
                      .columns = width,
                      .depth = count,
                      .left = {logits_.get(), layout_.vocabulary_rows, true},
                      .right = {rows, width},
                      .sum = work.parameters.gradient + layout_.token_embedding},
                     work.stream);
    }
  }
}

void CudaTransformer::multiply(
    const Work& work, const Linear& linear, const Bf16* input, const Bf16* addend, Bf16* output) {
  blas_.multiply({.rows = num_positions_,
                  .columns = linear.outputs,
                  .depth = linear.inputs,
                  .left = {input, linear.inputs},
                  .right = {work.parameters.rounded + linear.weight, linear.outputs},
                  .output = output,
                  .addend = addend,
                  .bias = work.parameters.rounded + linear.bias},
                 work.stream);
}

void CudaTransformer::multiply_backward(const Work& work,
                                        const Linear& linear,
                                        const Bf16* input,
                                        const Bf16* d_output,
                                        Bf16* d_input) {
  blas_.multiply({.rows = num_positions_,
                  .columns = linear.inputs,
                  .depth = linear.outputs,
                  .left = {d_output, linear.outputs},
                  .right = {work.parameters.rounded + linear.weight, linear.outputs, true},
                  .output = d_input},
                 work.stream);
  blas_.multiply({.rows = linear.inputs,
                  .columns = linear.outputs,
                  .depth = num_positions_,
                  .left = {input, linear.inputs, true},
                  .right = {d_output, linear.outputs},
                  .sum = work.parameters.gradient + linear.weight},
                 work.stream);
}

DeviceNorm CudaTransformer::norm_1(const Work& work, std::size_t layer) {
  const TransformerLayer& place = layout_.layers[layer];
  const Activations& kept = layers_[layer];
  return {num_positions_,
          shape_.width,
          kept.input.get(),
          work.parameters.parameters + place.norm_1_weight,
          work.parameters.parameters + place.norm_1_bias,
          kept.mean_1.get(),
          kept.inverse_deviation_1.get()};
}

DeviceNorm CudaTransformer::norm_2(const Work& work, std::size_t layer) {
  const TransformerLayer& place = layout_.layers[layer];
  const Activations& kept = layers_[layer];
  return {num_positions_,
          shape_.width,
          kept.middle.get(),
          work.parameters.parameters + place.norm_2_weight,
          work.parameters.parameters + place.norm_2_bias,
          kept.mean_2.get(),
          kept.inverse_deviation_2.get()};
}

DeviceNorm CudaTransformer::final_norm(const Work& work) {
  return {num_positions_,
          shape_.width,
          output_.get(),
          work.parameters.parameters + layout_.final_norm_weight,
          work.parameters.parameters + layout_.final_norm_bias,
          final_mean_.get(),
          final_inverse_deviation_.get()};
}

// The gradient of the norm's output is in d_normed_; that of its input goes to, or is added to,
// d_residual_.
void CudaTransformer::norm_backward(const Work& work,
                                    const DeviceNorm& norm,
                                    std::int64_t weight,
                                    std::int64_t bias,
                                    bool adds,
                                    float* d_input_sums) {
  layer_norm_backward(norm,
                      {d_normed_.get(),
                       adds ? d_residual_.get() : nullptr,
                       d_residual_.get(),
                       work.parameters.gradient + weight,
                       work.parameters.gradient + bias,
                       d_input_sums,
                       partial_sums_.get()},
                      work.stream);
}

DeviceAttention CudaTransformer::attention(const Work& work, std::size_t layer) {
  const Activations& kept = layers_[layer];
  return {num_positions_,
          shape_.heads,
          work.positions.begins,
          work.positions.ends,
          kept.projected.get(),
          kept.attended.get(),
          kept.log_sums.get()};
}

}  // namespace penstock::gpu
