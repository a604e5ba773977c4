#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace penstock::gpu {

// The upper half of an IEEE float32. Conversion rounds to nearest even; NaN stays NaN.
using Bf16 = std::uint16_t;
Bf16 to_bf16(float value);
float to_float(Bf16 value);

// The weights of lm_score, in host memory.
struct LmWeights {
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  std::int64_t window = 0;
  std::vector<Bf16> embedding;   // [vocabulary, width]
  std::vector<Bf16> mix;         // [window, width]
  std::vector<Bf16> projection;  // [vocabulary, width]
};

// The same weights for the same arguments on every machine: element i of a tensor is
// bf16(scale * (2 u - 1)), u = (word i % 4 of the block of philox for (seed, i / 4, stream) >> 8) /
// 2^24; streams are 0, 1 and 2. scale is sqrt(3) for the embedding, sqrt(3) * 2^-k for row k of the
// mix, sqrt(9 / width) for the projection, so that logits have a variance of three to four.
LmWeights seeded_lm_weights(std::int64_t vocabulary,
                            std::int64_t width,
                            std::int64_t window,
                            std::uint64_t seed);

// Reads the tensors embedding.weight, mix.weight and projection.weight (shapes as above, BF16, F16
// or F32, every element finite in bf16) from a safetensors file; what else is in it is passed over.
// Throws std::runtime_error naming the file, the tensor and what is wrong. Format:
// https://github.com/huggingface/safetensors#format
LmWeights read_lm_weights(const std::string& path);
// The inverse, in BF16. Throws FileError.
void write_lm_weights(const LmWeights& weights, const std::string& path);

}  // namespace penstock::gpu
