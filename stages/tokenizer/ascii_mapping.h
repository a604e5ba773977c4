#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock {

// A set of ASCII characters, as SIMD kernels look it up.
class AsciiSet {
 public:
  void add(char character) {
    const auto value = static_cast<unsigned char>(character);
    rows_[value % 16] |= static_cast<std::uint8_t>(1U << value / 16U);
  }
  // False for bytes that are not ASCII.
  bool has(char byte) const {
    const auto value = static_cast<unsigned char>(byte);
    return value < 0x80 && (rows_[value % 16] >> value / 16U & 1U) != 0;
  }
  // Bit r of byte c is set for the character with the code r * 16 + c.
  const std::uint8_t* rows() const { return rows_.data(); }

 private:
  std::array<std::uint8_t, 16> rows_{};
};

// What becomes of the ASCII characters of a text; those in no set stay as they are.
struct AsciiMapping {
  AsciiSet becomes_space;
  AsciiSet becomes_lower_case;
  AsciiSet is_special;  // what has to be looked at one by one
};

}  // namespace penstock
