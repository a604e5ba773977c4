#pragma once

#include <string>
#include <string_view>

namespace penstock {

// U+2581, by which a SentencePiece model stands for a space. The fast engines work with a space in
// its place: nothing else of a normalized text is one.
inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";

// The text with a space for each U+2581.
std::string with_spaces(std::string_view text);

// Appends the text with a space for each U+2581 to what is at `to`, where there is room for it, and
// returns the end.
char* append_with_spaces(std::string_view text, char* to);

}  // namespace penstock
