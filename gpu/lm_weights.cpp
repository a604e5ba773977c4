#include "gpu/lm_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>

#include "gpu/philox.h"
#include "gpu/safetensors.h"

namespace penstock::gpu {
namespace {

constexpr std::uint32_t kEmbeddingStream = 0;
constexpr std::uint32_t kMixStream = 1;
constexpr std::uint32_t kProjectionStream = 2;

constexpr const char* kEmbedding = "embedding.weight";
constexpr const char* kMix = "mix.weight";
constexpr const char* kProjection = "projection.weight";

constexpr std::uint16_t kExponentBits = 0x7F80;

// From -1 to 1, exact in fp32.
float symmetric_uniform(std::uint32_t word) {
  constexpr std::int32_t kHalf = 1 << 23;
  return static_cast<float>(static_cast<std::int32_t>(word >> 8) - kHalf) / kHalf;
}

template <typename ScaleOf>
std::vector<Bf16> seeded_tensor(std::int64_t size,
                                std::uint64_t seed,
                                std::uint32_t stream,
                                ScaleOf scale_of_element) {
  std::vector<Bf16> elements(static_cast<std::size_t>(size));
  for (std::size_t begin = 0; begin < elements.size(); begin += 4) {
    const PhiloxBlock block = philox_block(seed, begin / 4, stream);
    const std::size_t end = std::min(begin + 4, elements.size());
    for (std::size_t i = begin; i < end; ++i) {
      elements[i] = to_bf16(scale_of_element(i) * symmetric_uniform(block.words[i - begin]));
    }
  }
  return elements;
}

struct Matrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<Bf16> elements;
};

Matrix read_matrix(SafetensorsReader& file, const std::string& name) {
  const std::vector<std::int64_t> shape = file.shape(name);
  if (shape.size() != 2) {
    throw file.wrong(name, "has " + std::to_string(shape.size()) + " numbers in shape, expected 2");
  }
  const std::vector<float> elements = file.elements(name);
  Matrix matrix{shape[0], shape[1], std::vector<Bf16>(elements.size())};
  std::transform(elements.begin(), elements.end(), matrix.elements.begin(), to_bf16);
  const auto found = std::find_if(matrix.elements.begin(), matrix.elements.end(), [](Bf16 element) {
    return (element & kExponentBits) == kExponentBits;
  });
  if (found != matrix.elements.end()) {
    throw file.wrong(name,
                     "has an element, number " + std::to_string(found - matrix.elements.begin()) +
                         " from 0, that is not finite in bf16");
  }
  return matrix;
}

}  // namespace

Bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) {
    return static_cast<Bf16>(bits >> 16 | 0x40);
  }
  return static_cast<Bf16>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float to_float(Bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

LmWeights seeded_lm_weights(std::int64_t vocabulary,
                            std::int64_t width,
                            std::int64_t window,
                            std::uint64_t seed) {
  const auto unit_scale = static_cast<float>(std::sqrt(3.0));
  const auto projection_scale = static_cast<float>(std::sqrt(9.0 / static_cast<double>(width)));
  LmWeights weights{vocabulary, width, window, {}, {}, {}};
  weights.embedding = seeded_tensor(
      vocabulary * width, seed, kEmbeddingStream, [=](std::size_t) { return unit_scale; });
  weights.mix = seeded_tensor(window * width, seed, kMixStream, [=](std::size_t i) {
    return std::ldexp(unit_scale, -static_cast<int>(i / static_cast<std::size_t>(width)));
  });
  weights.projection = seeded_tensor(
      vocabulary * width, seed, kProjectionStream, [=](std::size_t) { return projection_scale; });
  return weights;
}

LmWeights read_lm_weights(const std::string& path) {
  SafetensorsReader file(path);
  Matrix embedding = read_matrix(file, kEmbedding);
  Matrix mix = read_matrix(file, kMix);
  Matrix projection = read_matrix(file, kProjection);
  if (mix.columns != embedding.columns) {
    throw file.wrong(kMix,
                     "has shape " + shape_text({mix.rows, mix.columns}) + ", expected [window, " +
                         std::to_string(embedding.columns) + "], the width of " + kEmbedding);
  }
  if (projection.rows != embedding.rows || projection.columns != embedding.columns) {
    throw file.wrong(kProjection,
                     "has shape " + shape_text({projection.rows, projection.columns}) +
                         ", expected " + shape_text({embedding.rows, embedding.columns}) +
                         ", that of " + kEmbedding);
  }
  return {embedding.rows,
          embedding.columns,
          mix.rows,
          std::move(embedding.elements),
          std::move(mix.elements),
          std::move(projection.elements)};
}

void write_lm_weights(const LmWeights& weights, const std::string& path) {
  const auto tensor = [&](const char* name, std::int64_t rows, const std::vector<Bf16>& elements) {
    return SafetensorsTensor{
        name, "BF16", {rows, weights.width}, std::as_bytes(std::span(elements))};
  };
  write_safetensors(path,
                    {tensor(kEmbedding, weights.vocabulary, weights.embedding),
                     tensor(kMix, weights.window, weights.mix),
                     tensor(kProjection, weights.vocabulary, weights.projection)});
}

}  // namespace penstock::gpu
