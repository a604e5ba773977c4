#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock {

// What every npy header of ours takes, whatever the shape: the array begins behind it, at a
// multiple of 64 bytes as the format asks.
inline constexpr std::size_t kNpyHeaderBytes = 128;

// The header of a .npy file, format version 1.0, for a two-dimensional array in C order. `descr` is
// NumPy's name of the element type: "<u2" or "<u4". Source of the format: numpy.lib.format.
std::string npy_header(std::string_view descr, std::int64_t rows, std::int64_t columns);

}  // namespace penstock
