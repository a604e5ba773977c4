#include "gpu/transformer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <utility>

#include "gpu/philox.h"

namespace penstock::gpu {
namespace {

constexpr double kDeviation = 0.02;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Places tensors one behind the other.
class Placing {
 public:
  explicit Placing(TransformerLayout& layout) : layout_(layout) {}

  // Gives the offset. Memory is kept for `memory_rows`, at least those of the tensor.
  std::int64_t matrix(std::string name,
                      std::int64_t rows,
                      std::int64_t columns,
                      double deviation,
                      std::int64_t memory_rows) {
    return place({std::move(name), 0, rows, columns, Begin::kNormal, deviation},
                 memory_rows * columns);
  }
  std::int64_t matrix(std::string name, std::int64_t rows, std::int64_t columns, double deviation) {
    return matrix(std::move(name), rows, columns, deviation, rows);
  }
  std::int64_t ones(std::string name, std::int64_t size) {
    return place({std::move(name), 0, 0, size, Begin::kOnes}, size);
  }
  std::int64_t zeros(std::string name, std::int64_t size) {
    return place({std::move(name), 0, 0, size, Begin::kZeros}, size);
  }

 private:
  using Begin = TransformerTensor::Begin;

  std::int64_t place(TransformerTensor tensor, std::int64_t size) {
    tensor.offset = layout_.size;
    layout_.size = round_up(layout_.size + size, kTransformerAlignment);
    layout_.tensors.push_back(std::move(tensor));
    return layout_.tensors.back().offset;
  }

  TransformerLayout& layout_;
};

std::string layer_name(std::size_t layer) {
  return "h." + std::to_string(layer) + ".";
}

std::array<double, 4> normal_numbers(const PhiloxBlock& block) {
  // In (0, 1], so that its logarithm is finite.
  const auto uniform = [&](int word) { return std::ldexp(block.words[word] + 1.0, -32); };
  std::array<double, 4> numbers{};
  for (int pair = 0; pair < 2; ++pair) {
    const double radius = std::sqrt(-2 * std::log(uniform(2 * pair)));
    const double angle = 2 * std::numbers::pi * uniform(2 * pair + 1);
    numbers[static_cast<std::size_t>(2 * pair)] = radius * std::cos(angle);
    numbers[static_cast<std::size_t>(2 * pair + 1)] = radius * std::sin(angle);
  }
  return numbers;
}

void fill_with_normal(float* elements,
                      std::int64_t size,
                      double deviation,
                      std::uint64_t seed,
                      std::uint32_t stream) {
  for (std::int64_t begin = 0; begin < size; begin += 4) {
    const std::array<double, 4> numbers =
        normal_numbers(philox_block(seed, static_cast<std::uint64_t>(begin / 4), stream));
    const std::int64_t count = std::min<std::int64_t>(4, size - begin);
    for (std::int64_t i = 0; i < count; ++i) {
      elements[begin + i] = static_cast<float>(deviation * numbers[static_cast<std::size_t>(i)]);
    }
  }
}

}  // namespace

TransformerLayout transformer_layout(const TransformerShape& shape, std::int64_t row_step) {
  const std::int64_t width = shape.width;
  const double residual_deviation = kDeviation / std::sqrt(2.0 * static_cast<double>(shape.layers));
  TransformerLayout layout;
  Placing place(layout);
  layout.vocabulary_rows = round_up(shape.vocabulary, row_step);
  layout.token_embedding =
      place.matrix("wte.weight", shape.vocabulary, width, kDeviation, layout.vocabulary_rows);
  layout.position_embedding = place.matrix("wpe.weight", shape.max_length, width, kDeviation);
  layout.layers.resize(static_cast<std::size_t>(shape.layers));
  for (std::size_t i = 0; i < layout.layers.size(); ++i) {
    TransformerLayer& layer = layout.layers[i];
    const std::string name = layer_name(i);
    layer.attention_weight =
        place.matrix(name + "attn.c_attn.weight", width, 3 * width, kDeviation);
    layer.projection_weight =
        place.matrix(name + "attn.c_proj.weight", width, width, residual_deviation);
    layer.up_weight = place.matrix(name + "mlp.c_fc.weight", width, 4 * width, kDeviation);
    layer.down_weight =
        place.matrix(name + "mlp.c_proj.weight", 4 * width, width, residual_deviation);
  }
  layout.num_decaying = layout.size;
  for (std::size_t i = 0; i < layout.layers.size(); ++i) {
    TransformerLayer& layer = layout.layers[i];
    const std::string name = layer_name(i);
    layer.norm_1_weight = place.ones(name + "ln_1.weight", width);
    layer.norm_1_bias = place.zeros(name + "ln_1.bias", width);
    layer.attention_bias = place.zeros(name + "attn.c_attn.bias", 3 * width);
    layer.projection_bias = place.zeros(name + "attn.c_proj.bias", width);
    layer.norm_2_weight = place.ones(name + "ln_2.weight", width);
    layer.norm_2_bias = place.zeros(name + "ln_2.bias", width);
    layer.up_bias = place.zeros(name + "mlp.c_fc.bias", 4 * width);
    layer.down_bias = place.zeros(name + "mlp.c_proj.bias", width);
  }
  layout.final_norm_weight = place.ones("ln_f.weight", width);
  layout.final_norm_bias = place.zeros("ln_f.bias", width);
  return layout;
}

std::vector<float> in_layout(const std::vector<float>& parameters,
                             const TransformerLayout& from,
                             const TransformerLayout& to) {
  std::vector<float> result(static_cast<std::size_t>(to.size), 0.0F);
  for (std::size_t t = 0; t < from.tensors.size(); ++t) {
    const TransformerTensor& tensor = from.tensors[t];
    std::copy_n(
        parameters.begin() + tensor.offset, tensor.size(), result.begin() + to.tensors[t].offset);
  }
  return result;
}

std::int64_t num_parameters(const TransformerShape& shape) {
  const std::int64_t width = shape.width;
  const std::int64_t of_a_layer = 12 * width * width + 13 * width;
  return (shape.vocabulary + shape.max_length) * width + shape.layers * of_a_layer + 2 * width;
}

double training_flops_per_token(const TransformerShape& shape) {
  const std::int64_t multiplied = num_parameters(shape) - shape.max_length * shape.width;
  return 6.0 * static_cast<double>(multiplied) +
         12.0 * static_cast<double>(shape.layers * shape.width * shape.max_length);
}

std::vector<float> initial_parameters(const TransformerLayout& layout, std::uint64_t seed) {
  std::vector<float> parameters(static_cast<std::size_t>(layout.size), 0.0F);
  for (std::size_t t = 0; t < layout.tensors.size(); ++t) {
    const TransformerTensor& tensor = layout.tensors[t];
    float* elements = parameters.data() + tensor.offset;
    switch (tensor.begin) {
      case TransformerTensor::Begin::kNormal:
        fill_with_normal(elements,
                         tensor.size(),
                         tensor.deviation,
                         seed,
                         kTransformerStream + static_cast<std::uint32_t>(t));
        break;
      case TransformerTensor::Begin::kOnes:
        std::fill_n(elements, tensor.size(), 1.0F);
        break;
      case TransformerTensor::Begin::kZeros:
        break;
    }
  }
  return parameters;
}

}  // namespace penstock::gpu
