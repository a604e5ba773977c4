#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::gpu {

// The sizes of a decoder-only transformer of GPT-2's architecture.
struct TransformerShape {
  std::int64_t vocabulary = 0;
  std::int64_t max_length = 0;  // positions of a document, or of a piece of one, that it can tell
  std::int64_t width = 0;       // a multiple of heads
  std::int64_t layers = 0;
  std::int64_t heads = 0;

  std::int64_t head_width() const { return width / heads; }
  bool operator==(const TransformerShape&) const = default;
};

// Where a layer's tensors begin in the parameters, in elements. A matrix is [inputs, outputs].
struct TransformerLayer {
  std::int64_t attention_weight = 0;   // [width, 3 * width]: queries, keys, values
  std::int64_t projection_weight = 0;  // [width, width]
  std::int64_t up_weight = 0;          // [width, 4 * width]
  std::int64_t down_weight = 0;        // [4 * width, width]
  std::int64_t norm_1_weight = 0;      // [width], as is what follows but for two
  std::int64_t norm_1_bias = 0;
  std::int64_t attention_bias = 0;  // [3 * width]
  std::int64_t projection_bias = 0;
  std::int64_t norm_2_weight = 0;
  std::int64_t norm_2_bias = 0;
  std::int64_t up_bias = 0;  // [4 * width]
  std::int64_t down_bias = 0;
};

// One tensor among the parameters, under the name that it has in Hugging Face's GPT-2.
struct TransformerTensor {
  // What a new model begins with.
  enum class Begin { kNormal, kOnes, kZeros };

  std::string name;
  std::int64_t offset = 0;  // of its first element
  std::int64_t rows = 0;    // 0: a vector of `columns` elements
  std::int64_t columns = 0;
  Begin begin = Begin::kZeros;
  double deviation = 0;  // of kNormal

  std::int64_t size() const { return (rows > 0 ? rows : 1) * columns; }
};

// How all parameters of a model lie in one array, and alike their gradient and what AdamW keeps of
// each. Matrices come first, since they alone decay. Every tensor begins at a multiple of
// kTransformerAlignment elements; what lies between tensors is zero and stays zero.
struct TransformerLayout {
  std::int64_t token_embedding = 0;  // [vocabulary_rows, width], also the last matrix of the model
  std::int64_t vocabulary_rows = 0;  // at least the vocabulary; the rows beyond it are zero
  std::int64_t position_embedding = 0;  // [max_length, width]
  std::vector<TransformerLayer> layers;
  std::int64_t final_norm_weight = 0;
  std::int64_t final_norm_bias = 0;
  std::int64_t num_decaying = 0;  // elements from the first one on
  std::int64_t size = 0;          // elements
  std::vector<TransformerTensor> tensors;
};
inline constexpr std::int64_t kTransformerAlignment = 64;

// The token embedding gets as many rows as are a multiple of `row_step`.
TransformerLayout transformer_layout(const TransformerShape& shape, std::int64_t row_step);

// The same parameters in another layout of the same shape.
std::vector<float> in_layout(const std::vector<float>& parameters,
                             const TransformerLayout& from,
                             const TransformerLayout& to);

// Elements of all tensors.
std::int64_t num_parameters(const TransformerShape& shape);

// Floating-point operations of one training step for each token, a multiplication and an addition
// counting as two: 6 for every parameter but the position embedding's, and 12 * layers * width *
// max_length for attention as if nothing were masked. Chowdhery et al. 2022, "PaLM", appendix B.
double training_flops_per_token(const TransformerShape& shape);

// New parameters in the layout, as GPT-2 begins: matrices normal with a deviation of 0.02, those
// that write to the residual stream 0.02 / sqrt(2 * layers), biases 0, norms 1. Element i of tensor
// number t is number i % 4 of the four normal numbers that Box and Muller's transform makes of the
// block of philox for (seed, i / 4, kTransformerStream + t).
std::vector<float> initial_parameters(const TransformerLayout& layout, std::uint64_t seed);
inline constexpr std::uint32_t kTransformerStream = 1024;

}  // namespace penstock::gpu
