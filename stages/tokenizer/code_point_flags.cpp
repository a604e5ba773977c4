#include "stages/tokenizer/code_point_flags.h"

namespace penstock {

CodePointFlags::CodePointFlags(std::uint8_t everywhere) : pages_(kPageSize, everywhere) {}

// The code point's flags, in a page that is no other's.
std::uint8_t& CodePointFlags::own(char32_t code_point) {
  std::uint32_t& first = first_of_page_[code_point >> 8U];
  if (first == 0) {
    const std::vector<std::uint8_t> shared(pages_.begin(), pages_.begin() + kPageSize);
    first = static_cast<std::uint32_t>(pages_.size());
    pages_.insert(pages_.end(), shared.begin(), shared.end());
  }
  return pages_[first + (code_point & 0xFFU)];
}

}  // namespace penstock
