#pragma once

#include <cstdint>
#include <vector>

#include "gpu/transformer.h"
#include "pipeline/chunk.h"

namespace penstock::gpu {

// Random parameters, in the layout for a row_step of 1, so large that every part of the model
// matters; the wider it is, the smaller the deviation may be. The same for the same arguments.
std::vector<float> lively_parameters(const TransformerShape& shape,
                                     std::uint64_t seed,
                                     float deviation = 0.3F);

// The logits behind a text [vocabulary], by the definition of gpu/lm_train.h: one position after
// the other in double precision, without a cache.
std::vector<float> logits_behind(const TransformerShape& shape,
                                 const std::vector<float>& parameters,
                                 const std::vector<TokenId>& text);

}  // namespace penstock::gpu
