#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "stages/tokenizer/normalizer_run.h"
#include "stages/tokenizer/utf8_decoding.h"

// Includes the file for every set of instructions but the one that every processor has, which
// follows it.
#define HWY_TARGET_INCLUDE "stages/tokenizer/normalizer_blocks.inc"
// clang-format off
#include <hwy/foreach_target.h>
#include "stages/tokenizer/normalizer_blocks.inc"
// clang-format on

namespace penstock {

HWY_EXPORT(normalize_blocks);

void normalize_blocks(const Normalizer::Tables& tables, NormalizerRun& run) {
  HWY_DYNAMIC_DISPATCH(normalize_blocks)(tables, run);
}

}  // namespace penstock
