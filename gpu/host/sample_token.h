#pragma once

#include <cstdint>
#include <span>

#include "gpu/lm_score.h"
#include "pipeline/chunk.h"

namespace penstock::gpu {

// The lowest id of the highest logit. There is at least one logit.
TokenId most_likely_token(std::span<const float> logits);

// The token that lm_score samples at a position with these logits, which are finite, by sorting
// them; `random` is the position's.
TokenId sample_token(std::span<const float> logits,
                     const TokenSampling& sampling,
                     std::uint64_t random);

}  // namespace penstock::gpu
