#pragma once

#include <string>
#include <string_view>

namespace penstock {

// Whole numbers exactly, others with nine significant digits, as many as a float has; null for NaN
// and infinities, which JSON does not have.
std::string json_number(double value);

// A string of JSON in ASCII. Bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

// Whether the text is one value of JSON.
bool is_json(std::string_view text);

}  // namespace penstock
