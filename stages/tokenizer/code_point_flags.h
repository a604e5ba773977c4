#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock {

// Holds eight flags for every Unicode code point, in pages of 256; those that were never changed
// are one page.
class CodePointFlags {
 public:
  explicit CodePointFlags(std::uint8_t everywhere = 0);

  // `code_point` is at most U+10FFFF, for all.
  void add(char32_t code_point, std::uint8_t flags) { own(code_point) |= flags; }
  void remove(char32_t code_point, std::uint8_t flags) {
    own(code_point) &= static_cast<std::uint8_t>(~flags);
  }
  std::uint8_t operator[](char32_t code_point) const noexcept {
    return pages_[first_of_page_[code_point >> 8U] + (code_point & 0xFFU)];
  }

 private:
  static constexpr std::size_t kPageSize = 256;

  std::uint8_t& own(char32_t code_point);

  std::array<std::uint32_t, 0x1100> first_of_page_{};
  std::vector<std::uint8_t> pages_;
};

}  // namespace penstock
