#include "pipeline/batch.h"

namespace penstock {

std::int64_t memory_bytes(const Batch& batch) {
  return static_cast<std::int64_t>(batch.tokens.capacity() * sizeof(TokenId) +
                                   batch.cu_seqlens.capacity() * sizeof(std::int32_t) +
                                   batch.segments.capacity() * sizeof(Segment));
}

}  // namespace penstock
