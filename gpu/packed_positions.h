#pragma once

#include <cstdint>
#include <vector>

#include "gpu/device_stage.h"

namespace penstock::gpu {

// What a transformer needs to know of each input position of a batch [positions].
struct PackedPositions {
  std::vector<TokenId> tokens;        // 0 for padding
  std::vector<std::int32_t> targets;  // the token to be predicted, or kNoTarget
  // [begin, end) of the position's segment: attention sees what lies in it up to the position.
  std::vector<std::int32_t> begins;
  std::vector<std::int32_t> ends;

  std::int64_t num_tokens = 0;  // positions that are no padding
  std::int64_t num_scored = 0;  // positions with a target
  std::int64_t num_unknown =
      0;  // ids, padding apart, that are not in the vocabulary; 0 in `tokens`
};
inline constexpr std::int32_t kNoTarget = -1;

// Of a batch in host memory. A position has a target where the token after it is in the same row
// and the same segment and neither is padding; in a row with shifted targets the last position's
// target is the row's last token, whichever document that is of.
PackedPositions packed_positions(const DeviceBatch& batch, std::int64_t vocabulary);

}  // namespace penstock::gpu
