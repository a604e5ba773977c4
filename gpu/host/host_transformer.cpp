#include "gpu/host/host_transformer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "gpu/host/matrix_product.h"

namespace penstock::gpu {
namespace {

constexpr std::int64_t kColumns = 64;  // of a block that is worked on in parallel

Norm norm_at(std::span<const float> parameters, std::int64_t weight, std::int64_t bias) {
  return {parameters.data() + weight, parameters.data() + bias};
}

NormGradient norm_gradient_at(std::span<float> gradient, std::int64_t weight, std::int64_t bias) {
  return {gradient.data() + weight, gradient.data() + bias};
}

}  // namespace

HostTransformer::HostTransformer(const TransformerShape& shape,
                                 const TransformerLayout& layout,
                                 std::int64_t num_positions,
                                 std::int64_t tile,
                                 int threads)
    : shape_(shape),
      layout_(layout),
      num_positions_(num_positions),
      tile_(std::min(tile, num_positions)),
      parallel_(threads) {
  const auto rows = static_cast<std::size_t>(num_positions);
  const std::size_t size = rows * static_cast<std::size_t>(shape.width);
  layers_.resize(static_cast<std::size_t>(shape.layers));
  for (Activations& layer : layers_) {
    layer.input.resize(size);
    layer.normed_1.resize(size);
    layer.projected.resize(3 * size);
    layer.log_sums.resize(rows * static_cast<std::size_t>(shape.heads));
    layer.attended.resize(size);
    layer.middle.resize(size);
    layer.normed_2.resize(size);
    layer.up.resize(4 * size);
    layer.active.resize(4 * size);
  }
  output_.resize(size);
  final_.resize(size);
  logits_.resize(static_cast<std::size_t>(tile_ * shape.vocabulary));
  predictions_.resize(static_cast<std::size_t>(tile_));
  d_residual_.resize(size);
  d_normed_.resize(size);
  d_wide_.resize(4 * size);
}

std::int64_t HostTransformer::bytes_per_position(const TransformerShape& shape) {
  constexpr std::int64_t kWidthsOfALayer = 16;
  constexpr std::int64_t kOtherWidths = 8;
  return static_cast<std::int64_t>(sizeof(float)) *
         (shape.layers * (kWidthsOfALayer * shape.width + shape.heads) +
          kOtherWidths * shape.width);
}

BatchLoss HostTransformer::evaluate(std::span<const float> parameters,
                                    const PackedPositions& positions) {
  forward(parameters, positions);
  return predict_all(parameters, positions, {});
}

BatchLoss HostTransformer::add_gradient(std::span<const float> parameters,
                                        const PackedPositions& positions,
                                        std::span<float> gradient) {
  forward(parameters, positions);
  const BatchLoss loss = predict_all(parameters, positions, gradient);
  for (std::size_t layer = layers_.size(); layer-- > 0;) {
    backward_layer(parameters, layer, gradient);
  }
  embed_backward(positions, gradient);
  return loss;
}

void HostTransformer::find_segments(const PackedPositions& positions) {
  segments_.clear();
  for (std::int64_t begin = 0; begin < num_positions_; begin = segments_.back().end) {
    segments_.push_back({begin, positions.ends[static_cast<std::size_t>(begin)]});
  }
}

void HostTransformer::embed(std::span<const float> parameters, const PackedPositions& positions) {
  const std::int64_t width = shape_.width;
  for (std::int64_t i = 0; i < num_positions_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float* token = parameters.data() + layout_.token_embedding + positions.tokens[at] * width;
    const float* place =
        parameters.data() + layout_.position_embedding + (i - positions.begins[at]) * width;
    float* row = output_of(0).data() + i * width;
    for (std::int64_t k = 0; k < width; ++k) {
      row[k] = token[k] + place[k];
    }
  }
}

// The input of the layer, or what is behind the last one.
std::span<float> HostTransformer::output_of(std::size_t layer) {
  return layer < layers_.size() ? layers_[layer].input : output_;
}

void HostTransformer::forward(std::span<const float> parameters, const PackedPositions& positions) {
  find_segments(positions);
  embed(parameters, positions);
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    forward_layer(parameters, layer);
  }
  layer_norm(parallel_,
             output_,
             norm_at(parameters, layout_.final_norm_weight, layout_.final_norm_bias),
             shape_.width,
             final_,
             final_statistics_);
}

void HostTransformer::forward_layer(std::span<const float> parameters, std::size_t layer) {
  Activations& kept = layers_[layer];
  const TransformerLayer& place = layout_.layers[layer];
  const auto bias_of = [&](const Linear& linear) {
    return parameters.subspan(static_cast<std::size_t>(linear.bias),
                              static_cast<std::size_t>(linear.outputs));
  };
  layer_norm(parallel_,
             kept.input,
             norm_at(parameters, place.norm_1_weight, place.norm_1_bias),
             shape_.width,
             kept.normed_1,
             kept.statistics_1);
  fill_rows(parallel_, bias_of(attention_linear(layer)), kept.projected);
  add_product(parameters, attention_linear(layer), kept.normed_1, kept.projected);
  attend(parallel_, attention(), kept.projected, kept.attended, kept.log_sums);
  fill_rows(parallel_, bias_of(projection_linear(layer)), kept.input, kept.middle);
  add_product(parameters, projection_linear(layer), kept.attended, kept.middle);

  layer_norm(parallel_,
             kept.middle,
             norm_at(parameters, place.norm_2_weight, place.norm_2_bias),
             shape_.width,
             kept.normed_2,
             kept.statistics_2);
  fill_rows(parallel_, bias_of(up_linear(layer)), kept.up);
  add_product(parameters, up_linear(layer), kept.normed_2, kept.up);
  gelu(parallel_, kept.up, kept.active);
  fill_rows(parallel_, bias_of(down_linear(layer)), kept.middle, output_of(layer + 1));
  add_product(parameters, down_linear(layer), kept.active, output_of(layer + 1));
}

void HostTransformer::backward_layer(std::span<const float> parameters,
                                     std::size_t layer,
                                     std::span<float> gradient) {
  Activations& kept = layers_[layer];
  const TransformerLayer& place = layout_.layers[layer];
  linear_backward(parameters, down_linear(layer), kept.active, d_residual_, d_wide_, gradient);
  gelu_backward(parallel_, kept.up, d_wide_);
  linear_backward(parameters, up_linear(layer), kept.normed_2, d_wide_, d_normed_, gradient);
  layer_norm_backward(parallel_,
                      kept.middle,
                      norm_at(parameters, place.norm_2_weight, place.norm_2_bias),
                      shape_.width,
                      kept.statistics_2,
                      d_normed_,
                      d_residual_,
                      norm_gradient_at(gradient, place.norm_2_weight, place.norm_2_bias));

  linear_backward(
      parameters, projection_linear(layer), kept.attended, d_residual_, d_normed_, gradient);
  const std::span<float> d_projected = std::span(d_wide_).first(kept.projected.size());
  attend_backward(
      parallel_, attention(), kept.projected, kept.attended, kept.log_sums, d_normed_, d_projected);
  linear_backward(
      parameters, attention_linear(layer), kept.normed_1, d_projected, d_normed_, gradient);
  layer_norm_backward(parallel_,
                      kept.input,
                      norm_at(parameters, place.norm_1_weight, place.norm_1_bias),
                      shape_.width,
                      kept.statistics_1,
                      d_normed_,
                      d_residual_,
                      norm_gradient_at(gradient, place.norm_1_weight, place.norm_1_bias));
}

// Rows that several positions share are added up in the order of the positions.
void HostTransformer::embed_backward(const PackedPositions& positions, std::span<float> gradient) {
  const std::int64_t width = shape_.width;
  parallel_.run(width, kColumns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < num_positions_; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const float* row = d_residual_.data() + i * width;
      float* token = gradient.data() + layout_.token_embedding + positions.tokens[at] * width;
      float* place =
          gradient.data() + layout_.position_embedding + (i - positions.begins[at]) * width;
      for (std::int64_t k = begin; k < end; ++k) {
        token[k] += row[k];
        place[k] += row[k];
      }
    }
  });
}

BatchLoss HostTransformer::predict_all(std::span<const float> parameters,
                                       const PackedPositions& positions,
                                       std::span<float> gradient) {
  const std::int64_t width = shape_.width;
  const std::int64_t vocabulary = shape_.vocabulary;
  const Factor embedding = {parameters.data() + layout_.token_embedding, width};
  const Factor transposed_embedding = {embedding.elements, width, true};
  const bool goes_back = !gradient.empty();
  BatchLoss found;
  for (std::int64_t first = 0; first < num_positions_; first += tile_) {
    const std::int64_t count = std::min(tile_, num_positions_ - first);
    const Factor rows = {final_.data() + first * width, width};
    multiply_in_parallel(parallel_,
                         count,
                         vocabulary,
                         width,
                         rows,
                         transposed_embedding,
                         {logits_.data(), vocabulary});
    parallel_.run(count, 1, [&](std::int64_t i, std::int64_t) {
      const std::int64_t target = positions.targets[static_cast<std::size_t>(first + i)];
      const std::span<float> logits = std::span(logits_).subspan(
          static_cast<std::size_t>(i * vocabulary), static_cast<std::size_t>(vocabulary));
      if (target == kNoTarget) {
        std::fill(logits.begin(), logits.end(), 0.0F);
      } else {
        predictions_[static_cast<std::size_t>(i)] =
            goes_back ? predict_backward(logits, target) : predict(logits, target);
      }
    });
    for (std::int64_t i = 0; i < count; ++i) {
      if (positions.targets[static_cast<std::size_t>(first + i)] != kNoTarget) {
        const Prediction& prediction = predictions_[static_cast<std::size_t>(i)];
        found.loss_sum += prediction.loss;
        found.num_correct += prediction.is_correct ? 1 : 0;
        if (!std::isfinite(prediction.loss) && found.first_not_finite < 0) {
          found.first_not_finite = first + i;
        }
      }
    }
    if (goes_back) {
      multiply_in_parallel(parallel_,
                           count,
                           width,
                           vocabulary,
                           {logits_.data(), vocabulary},
                           embedding,
                           {d_normed_.data() + first * width, width});
      multiply_in_parallel(parallel_,
                           vocabulary,
                           width,
                           count,
                           {logits_.data(), vocabulary, true},
                           rows,
                           {gradient.data() + layout_.token_embedding, width, true});
    }
  }
  if (goes_back) {
    std::fill(d_residual_.begin(), d_residual_.end(), 0.0F);
    layer_norm_backward(
        parallel_,
        output_,
        norm_at(parameters, layout_.final_norm_weight, layout_.final_norm_bias),
        width,
        final_statistics_,
        d_normed_,
        d_residual_,
        norm_gradient_at(gradient, layout_.final_norm_weight, layout_.final_norm_bias));
  }
  return found;
}

void HostTransformer::add_product(std::span<const float> parameters,
                                  const Linear& linear,
                                  std::span<const float> input,
                                  std::span<float> output) const {
  multiply_in_parallel(parallel_,
                       num_positions_,
                       linear.outputs,
                       linear.inputs,
                       {input.data(), linear.inputs},
                       {parameters.data() + linear.weight, linear.outputs},
                       {output.data(), linear.outputs, true});
}

void HostTransformer::linear_backward(std::span<const float> parameters,
                                      const Linear& linear,
                                      std::span<const float> input,
                                      std::span<const float> d_output,
                                      std::span<float> d_input,
                                      std::span<float> gradient) const {
  multiply_in_parallel(parallel_,
                       num_positions_,
                       linear.inputs,
                       linear.outputs,
                       {d_output.data(), linear.outputs},
                       {parameters.data() + linear.weight, linear.outputs, true},
                       {d_input.data(), linear.inputs});
  multiply_in_parallel(parallel_,
                       linear.inputs,
                       linear.outputs,
                       num_positions_,
                       {input.data(), linear.inputs, true},
                       {d_output.data(), linear.outputs},
                       {gradient.data() + linear.weight, linear.outputs, true});
  add_row_sums(parallel_,
               d_output,
               gradient.subspan(static_cast<std::size_t>(linear.bias),
                                static_cast<std::size_t>(linear.outputs)));
}

HostTransformer::Linear HostTransformer::attention_linear(std::size_t layer) const {
  const TransformerLayer& place = layout_.layers[layer];
  return {place.attention_weight, place.attention_bias, shape_.width, 3 * shape_.width};
}

HostTransformer::Linear HostTransformer::projection_linear(std::size_t layer) const {
  const TransformerLayer& place = layout_.layers[layer];
  return {place.projection_weight, place.projection_bias, shape_.width, shape_.width};
}

HostTransformer::Linear HostTransformer::up_linear(std::size_t layer) const {
  const TransformerLayer& place = layout_.layers[layer];
  return {place.up_weight, place.up_bias, shape_.width, 4 * shape_.width};
}

HostTransformer::Linear HostTransformer::down_linear(std::size_t layer) const {
  const TransformerLayer& place = layout_.layers[layer];
  return {place.down_weight, place.down_bias, 4 * shape_.width, shape_.width};
}

Attention HostTransformer::attention() const {
  return {segments_, num_positions_, shape_.heads, shape_.head_width()};
}

}  // namespace penstock::gpu
