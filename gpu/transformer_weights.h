#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gpu/safetensors.h"
#include "gpu/transformer.h"

namespace penstock::gpu {

// A transformer's sizes and its parameters, in the layout for a row_step of 1.
struct TransformerWeights {
  TransformerShape shape;
  std::vector<float> parameters;
};

// Reads the weights of GPT-2 as Hugging Face's transformers writes them: the tensors of
// TransformerLayout in BF16, F16 or F32 under their names, with "transformer." before each or not.
// Sizes are the file's. How many heads there are is no tensor's matter: where `heads` is 0 it is
// what the metadata `n_head` says, else width / 64, as in every GPT-2. What else is in the file is
// passed over, but for an lm_head.weight that is not the token embedding. Throws
// std::runtime_error naming the file, the tensor and what is wrong, FileError where the file cannot
// be read.
TransformerWeights read_transformer_weights(const std::string& path, std::int64_t heads = 0);

// The inverse, in F32, with "transformer." before each name. Throws FileError.
void write_transformer_weights(const TransformerShape& shape,
                               const std::vector<float>& parameters,
                               const std::string& path);

// For files that hold arrays in a layout: the layout's tensors in `array`, with `prefix` before
// their names.
void append_tensors(const TransformerLayout& layout,
                    const std::string& prefix,
                    const std::vector<float>& array,
                    std::vector<SafetensorsTensor>& tensors);
// The array that was written so; every element is finite. Throws std::runtime_error.
std::vector<float> read_tensors(const TransformerLayout& layout,
                                const std::string& prefix,
                                SafetensorsReader& file);

}  // namespace penstock::gpu
