#include "stages/npy.h"

#include <stdexcept>

namespace penstock {

std::string npy_header(std::string_view descr, std::int64_t rows, std::int64_t columns) {
  using namespace std::string_view_literals;
  constexpr std::size_t kDictionaryBytes = kNpyHeaderBytes - 10;  // behind magic, version, length
  static_assert(kNpyHeaderBytes % 64 == 0 && kDictionaryBytes < 256);

  std::string header("\x93NUMPY\x01\x00"sv);
  header += static_cast<char>(kDictionaryBytes);  // 16 bits, little-endian
  header += '\0';
  header += "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (" +
            std::to_string(rows) + ", " + std::to_string(columns) + "), }";
  if (header.size() >= kNpyHeaderBytes) {
    throw std::logic_error("an npy header does not fit the space reserved for it");
  }
  header.resize(kNpyHeaderBytes - 1, ' ');
  header += '\n';
  return header;
}

}  // namespace penstock
