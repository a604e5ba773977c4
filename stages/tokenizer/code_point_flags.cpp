#include "stages/tokenizer/code_point_flags.h"

namespace penstock {

CodePointFlags::CodePointFlags() : pages_(kPageSize) {}

void CodePointFlags::add(char32_t code_point, std::uint8_t flags) {
  std::uint32_t& first = first_of_page_[code_point >> 8U];
  if (first == 0) {
    first = static_cast<std::uint32_t>(pages_.size());
    pages_.resize(pages_.size() + kPageSize);
  }
  pages_[first + (code_point & 0xFFU)] |= flags;
}

}  // namespace penstock
