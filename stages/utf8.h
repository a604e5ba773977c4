#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock {

// Why a record is not valid UTF-8 ("invalid UTF-8 at byte 12 of the record (0xff)"), or nothing
// when it is valid.
std::optional<std::string> utf8_error(std::string_view record);

}  // namespace penstock
