#include "tests/stages/tokenizer/charsmap_writer.h"

#include <cstddef>

namespace penstock::testing {
namespace {

constexpr std::uint32_t kValue = 1U << 31U;
constexpr std::uint32_t kHasValue = 1U << 8U;
constexpr unsigned kOffsetShift = 10;

void append_number(std::string& bytes, std::uint32_t number) {
  for (int i = 0; i < 4; ++i) {
    bytes += static_cast<char>(number >> (8 * i));
  }
}

}  // namespace

CharsmapWriter::CharsmapWriter(const Rules& rules) : units_(kBlock, kValue) {
  const std::size_t root = add_node();
  units_[0] = unit(0, 0, root, false);
  std::map<std::string, std::size_t> nodes = {{"", root}};
  for (const auto& [text, replacement] : rules) {
    for (std::size_t size = 1; size <= text.size(); ++size) {
      const auto [node, is_new] = nodes.emplace(text.substr(0, size), units_.size());
      if (is_new) {
        const auto byte = static_cast<unsigned char>(text[size - 1]);
        const std::size_t index = nodes.at(text.substr(0, size - 1)) + byte;
        units_[index] = unit(index, byte, add_node(), false);
      }
    }
    const std::size_t last =
        nodes.at(text.substr(0, text.size() - 1)) + static_cast<unsigned char>(text.back());
    units_[last] |= kHasValue;
    units_[nodes.at(text)] = kValue | static_cast<std::uint32_t>(replacements_.size());
    replacements_ += replacement + '\0';
  }
}

std::string CharsmapWriter::bytes() const {
  std::string bytes;
  append_number(bytes, static_cast<std::uint32_t>(units_.size() * 4));
  for (const std::uint32_t unit : units_) {
    append_number(bytes, unit);
  }
  return bytes + replacements_;
}

std::uint32_t CharsmapWriter::unit(std::size_t index,
                                   unsigned char byte,
                                   std::size_t children,
                                   bool rule) {
  return static_cast<std::uint32_t>((index ^ children) << kOffsetShift) | (rule ? kHasValue : 0) |
         byte;
}

std::size_t CharsmapWriter::add_node() {
  units_.resize(units_.size() + kBlock, kValue);
  return units_.size() - kBlock;
}

}  // namespace penstock::testing
