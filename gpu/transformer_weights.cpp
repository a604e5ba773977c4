#include "gpu/transformer_weights.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <span>

namespace penstock::gpu {
namespace {

constexpr const char* kPrefix = "transformer.";
constexpr const char* kTokenEmbedding = "wte.weight";
constexpr const char* kPositionEmbedding = "wpe.weight";
constexpr const char* kLastMatrix = "lm_head.weight";
constexpr const char* kHeads = "n_head";
constexpr std::int64_t kUsualHeadWidth = 64;

std::vector<std::int64_t> shape_of(const TransformerTensor& tensor) {
  return tensor.rows > 0 ? std::vector{tensor.rows, tensor.columns} : std::vector{tensor.columns};
}

std::vector<std::int64_t> matrix_shape(const SafetensorsReader& file, const std::string& name) {
  std::vector<std::int64_t> shape = file.shape(name);
  if (shape.size() != 2) {
    throw file.wrong(name, "has shape " + shape_text(shape) + ", expected a matrix");
  }
  return shape;
}

std::int64_t count_layers(const SafetensorsReader& file, const std::string& prefix) {
  std::int64_t layers = 0;
  while (file.has(prefix + "h." + std::to_string(layers) + ".ln_1.weight")) {
    ++layers;
  }
  if (layers == 0) {
    throw file.wrong(prefix + "h.0.ln_1.weight", "is not in the file");
  }
  return layers;
}

std::int64_t number_of_heads(const SafetensorsReader& file, std::int64_t width) {
  const std::string text = file.metadata(kHeads);
  if (text.empty()) {
    return std::max<std::int64_t>(1, width / kUsualHeadWidth);
  }
  std::int64_t heads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), heads);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  return is_number ? heads : 0;
}

// The model's last matrix is its token embedding.
void check_last_matrix(SafetensorsReader& file,
                       const TransformerLayout& layout,
                       const std::vector<float>& parameters) {
  if (!file.has(kLastMatrix)) {
    return;
  }
  const std::vector<float> elements = file.elements(kLastMatrix);
  const std::int64_t size = layout.tensors.front().size();
  if (std::ssize(elements) != size ||
      !std::equal(elements.begin(), elements.end(), parameters.begin() + layout.token_embedding)) {
    throw file.wrong(kLastMatrix, "is another than the token embedding, and GPT-2 has one of both");
  }
}

}  // namespace

TransformerWeights read_transformer_weights(const std::string& path, std::int64_t heads) {
  SafetensorsReader file(path);
  const std::string prefix = file.has(std::string(kPrefix) + kTokenEmbedding) ? kPrefix : "";
  const std::vector<std::int64_t> tokens = matrix_shape(file, prefix + kTokenEmbedding);
  const std::vector<std::int64_t> positions = matrix_shape(file, prefix + kPositionEmbedding);
  TransformerShape shape;
  shape.vocabulary = tokens[0];
  shape.width = tokens[1];
  shape.max_length = positions[0];
  shape.layers = count_layers(file, prefix);
  shape.heads = heads > 0 ? heads : number_of_heads(file, shape.width);
  if (shape.heads < 1 || shape.width % shape.heads != 0) {
    throw std::runtime_error("'" + path + "': its width of " + std::to_string(shape.width) +
                             " cannot be divided among " + std::to_string(shape.heads) + " heads");
  }
  const TransformerLayout layout = transformer_layout(shape, 1);
  std::vector<float> parameters = read_tensors(layout, prefix, file);
  check_last_matrix(file, layout, parameters);
  return {shape, std::move(parameters)};
}

void write_transformer_weights(const TransformerShape& shape,
                               const std::vector<float>& parameters,
                               const std::string& path) {
  const TransformerLayout layout = transformer_layout(shape, 1);
  std::vector<SafetensorsTensor> tensors;
  append_tensors(layout, kPrefix, parameters, tensors);
  // transformers reads no file that does not say which library's tensors it holds.
  write_safetensors(path, tensors, {{"format", "pt"}, {kHeads, std::to_string(shape.heads)}});
}

void append_tensors(const TransformerLayout& layout,
                    const std::string& prefix,
                    const std::vector<float>& array,
                    std::vector<SafetensorsTensor>& tensors) {
  for (const TransformerTensor& tensor : layout.tensors) {
    const auto elements = std::span(array).subspan(static_cast<std::size_t>(tensor.offset),
                                                   static_cast<std::size_t>(tensor.size()));
    tensors.push_back({prefix + tensor.name, "F32", shape_of(tensor), std::as_bytes(elements)});
  }
}

std::vector<float> read_tensors(const TransformerLayout& layout,
                                const std::string& prefix,
                                SafetensorsReader& file) {
  std::vector<float> array(static_cast<std::size_t>(layout.size));
  for (const TransformerTensor& tensor : layout.tensors) {
    const std::string name = prefix + tensor.name;
    const std::vector<std::int64_t> shape = file.shape(name);
    if (shape != shape_of(tensor)) {
      throw file.wrong(
          name, "has shape " + shape_text(shape) + ", expected " + shape_text(shape_of(tensor)));
    }
    const std::vector<float> elements = file.elements(name);
    const auto found = std::find_if_not(
        elements.begin(), elements.end(), [](float element) { return std::isfinite(element); });
    if (found != elements.end()) {
      throw file.wrong(name,
                       "has an element, number " + std::to_string(found - elements.begin()) +
                           " from 0, that is not finite");
    }
    std::copy(elements.begin(), elements.end(), array.begin() + tensor.offset);
  }
  return array;
}

}  // namespace penstock::gpu
