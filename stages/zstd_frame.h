#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock {

// Whether a zstd or skippable frame can begin with these bytes, of which there may be too few to be
// sure, but one at least. RFC 8878, sections 3.1.1 and 3.1.2.
bool can_begin_zstd_frame(std::string_view bytes);

// Bytes of window that the header of a zstd frame asks for, where there is enough of it. RFC 8878,
// section 3.1.1.1.
std::optional<std::uint64_t> zstd_window_size(std::string_view header);

}  // namespace penstock
