#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock {

// Sorts bytes into classes and says which class may follow which inside a piece: what SIMD kernels
// look up to find where a text can be cut.
struct ByteClasses {
  static constexpr std::size_t kNumClasses = 16;
  static constexpr std::uint8_t kNotAscii = 15;  // the class of every byte from 0x80

  std::array<std::uint8_t, 128> class_of{};  // of each ASCII character
  // Bit b of may_follow[a]: a piece may hold a byte of class b directly behind one of class a.
  std::array<std::uint16_t, kNumClasses> may_follow{};
};

}  // namespace penstock
