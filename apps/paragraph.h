#pragma once

#include <string>

namespace penstock {

// The text in lines of at most 100 characters, behind `head` and as far to the right.
std::string paragraph(const std::string& head, const std::string& text);

}  // namespace penstock
