#include "tests/gpu/lively_transformer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numbers>
#include <random>
#include <utility>

namespace penstock::gpu {
namespace {

using Row = std::vector<double>;

// The model on one text; rows are positions.
class PlainTransformer {
 public:
  PlainTransformer(const TransformerShape& shape, const std::vector<float>& parameters)
      : shape_(shape), layout_(transformer_layout(shape, 1)), parameters_(parameters) {}

  Row logits_behind(const std::vector<TokenId>& text) const {
    std::vector<Row> residual;
    for (std::size_t i = 0; i < text.size(); ++i) {
      Row row(width());
      for (std::size_t k = 0; k < width(); ++k) {
        row[k] = at(layout_.token_embedding, text[i] * width() + k) +
                 at(layout_.position_embedding, i * width() + k);
      }
      residual.push_back(std::move(row));
    }
    for (const TransformerLayer& layer : layout_.layers) {
      add_layer(layer, residual);
    }
    const Row last = norm(residual.back(), layout_.final_norm_weight, layout_.final_norm_bias);
    Row logits(static_cast<std::size_t>(shape_.vocabulary));
    for (std::size_t id = 0; id < logits.size(); ++id) {
      for (std::size_t k = 0; k < width(); ++k) {
        logits[id] += last[k] * at(layout_.token_embedding, id * width() + k);
      }
    }
    return logits;
  }

 private:
  std::size_t width() const { return static_cast<std::size_t>(shape_.width); }
  double at(std::int64_t offset, std::size_t i) const {
    return parameters_[static_cast<std::size_t>(offset) + i];
  }

  Row norm(const Row& input, std::int64_t weight, std::int64_t bias) const {
    double mean = 0;
    double square = 0;
    for (const double x : input) {
      mean += x / static_cast<double>(width());
    }
    for (const double x : input) {
      square += (x - mean) * (x - mean) / static_cast<double>(width());
    }
    Row output(width());
    for (std::size_t k = 0; k < width(); ++k) {
      output[k] = (input[k] - mean) / std::sqrt(square + 1e-5) * at(weight, k) + at(bias, k);
    }
    return output;
  }

  Row linear(const Row& input, std::int64_t weight, std::int64_t bias, std::size_t outputs) const {
    Row output(outputs);
    for (std::size_t column = 0; column < outputs; ++column) {
      output[column] = at(bias, column);
      for (std::size_t k = 0; k < input.size(); ++k) {
        output[column] += input[k] * at(weight, k * outputs + column);
      }
    }
    return output;
  }

  // Of the last of the projected rows.
  Row attended(const std::vector<Row>& projected) const {
    const auto head_width = static_cast<std::size_t>(shape_.head_width());
    Row output(width());
    for (std::size_t first = 0; first < width(); first += head_width) {
      Row scores;
      double sum = 0;
      for (const Row& other : projected) {
        double score = 0;
        for (std::size_t k = first; k < first + head_width; ++k) {
          score += projected.back()[k] * other[width() + k];
        }
        scores.push_back(std::exp(score / std::sqrt(static_cast<double>(head_width))));
        sum += scores.back();
      }
      for (std::size_t j = 0; j < projected.size(); ++j) {
        for (std::size_t k = first; k < first + head_width; ++k) {
          output[k] += scores[j] / sum * projected[j][2 * width() + k];
        }
      }
    }
    return output;
  }

  static void add(const Row& more, Row& row) {
    std::transform(row.begin(), row.end(), more.begin(), row.begin(), std::plus<>());
  }

  void add_layer(const TransformerLayer& layer, std::vector<Row>& residual) const {
    std::vector<Row> projected;
    for (Row& row : residual) {
      projected.push_back(linear(norm(row, layer.norm_1_weight, layer.norm_1_bias),
                                 layer.attention_weight,
                                 layer.attention_bias,
                                 3 * width()));
      add(linear(attended(projected), layer.projection_weight, layer.projection_bias, width()),
          row);
      Row up = linear(norm(row, layer.norm_2_weight, layer.norm_2_bias),
                      layer.up_weight,
                      layer.up_bias,
                      4 * width());
      for (double& x : up) {
        x = x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
      }
      add(linear(up, layer.down_weight, layer.down_bias, width()), row);
    }
  }

  const TransformerShape shape_;
  const TransformerLayout layout_;
  const std::vector<float>& parameters_;
};

}  // namespace

std::vector<float> lively_parameters(const TransformerShape& shape,
                                     std::uint64_t seed,
                                     float deviation) {
  const TransformerLayout layout = transformer_layout(shape, 1);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> parameters(static_cast<std::size_t>(layout.size));
  for (const TransformerTensor& tensor : layout.tensors) {
    const float mean = tensor.begin == TransformerTensor::Begin::kOnes ? 1 : 0;
    for (std::int64_t i = 0; i < tensor.size(); ++i) {
      parameters[static_cast<std::size_t>(tensor.offset + i)] = mean + normal(random);
    }
  }
  return parameters;
}

std::vector<float> logits_behind(const TransformerShape& shape,
                                 const std::vector<float>& parameters,
                                 const std::vector<TokenId>& text) {
  const Row logits = PlainTransformer(shape, parameters).logits_behind(text);
  return {logits.begin(), logits.end()};
}

}  // namespace penstock::gpu
