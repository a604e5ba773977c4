#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// One row of a batch for people to look at: ids, text where there is a decoder, and which columns
// come from which document.
std::string row_text(const Batch& batch,
                     std::int64_t row,
                     std::int64_t row_number,  // in the whole output
                     const TokenDecoder* decoder);

// The ids in short: "12 5 7 ... 9 2 (1025 ids)"
std::string short_ids(const std::vector<TokenId>& ids);

// Text that is safe to print on a terminal in one line: control, direction and line-separating
// characters, invalid UTF-8 and the backslash become escapes.
std::string visible(std::string_view text);

// Cuts the middle out of a text of more than `characters` code points.
std::string shortened(std::string_view utf8, std::size_t characters);

}  // namespace penstock
