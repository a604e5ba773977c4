#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace penstock::testing {

// Writes the bytes of a precompiled_charsmap (see Charsmap), with a whole block of 256 units for
// each begin of a rule: simple, large, and as valid as what the SentencePiece trainer writes.
class CharsmapWriter {
 public:
  using Rules = std::map<std::string, std::string>;

  // What the rules replace, and by what; neither has a zero byte.
  explicit CharsmapWriter(const Rules& rules);

  std::string bytes() const;

  // To damage it. The children of the n-th node are the units from 256 * (n + 1) on, by their
  // bytes; unit 0 is the root's, whose children are those of node 0.
  static constexpr std::size_t kBlock = 256;
  std::vector<std::uint32_t>& units() { return units_; }
  // The unit at `index`, the child for `byte`, whose own children begin at `children`.
  static std::uint32_t unit(std::size_t index, unsigned char byte, std::size_t children, bool rule);

 private:
  // Returns where the children of a new node begin.
  std::size_t add_node();

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace penstock::testing
