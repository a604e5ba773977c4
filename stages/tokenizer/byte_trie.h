#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

// Finds which of many strings begin a text: a double array, one load for each byte. Immutable once
// built.
//
// The child of a node for a byte is at `offset ^ byte`; it is one if its label is that byte.
// Offsets are unique, the array is a whole number of rows of 256 nodes, and no node has the offset
// 0 unless it is a leaf, so a walk stays inside the array and ends at the first byte that does not
// match.
class ByteTrie {
 public:
  using Node = std::uint32_t;  // an index
  static constexpr Node kRoot = 0;
  static constexpr std::uint32_t kNoValue = UINT32_MAX;
  // What fits into the 22 bits of an offset.
  static constexpr std::size_t kMostNodes = std::size_t{1} << 22U;

  struct Entry {
    std::string_view key;     // not empty
    std::uint32_t value = 0;  // not kNoValue
  };
  struct Match {
    std::size_t length = 0;  // 0 says that there is none
    std::uint32_t value = kNoValue;
  };

  ByteTrie() : ByteTrie(std::vector<Entry>()) {}
  // The keys are different from each other; they need not live on. Throws std::length_error when
  // there are more nodes than fit.
  explicit ByteTrie(std::vector<Entry> entries);

  // Goes on to the child for `byte`; returns whether there is one, and leaves `node` alone if not.
  bool step(Node& node, unsigned char byte) const noexcept {
    const Node child = (links_[node].bits >> kOffsetShift) ^ byte;
    if ((links_[child].bits & kLabelMask) != byte) {
      return false;
    }
    node = child;
    return true;
  }
  // The value of the key that ends at `node`, or kNoValue.
  std::uint32_t value(Node node) const noexcept { return links_[node].value; }
  // The offset of a node, from bit kOffsetShift on, and its label in the bits of kLabelMask.
  static constexpr unsigned kOffsetShift = 10;
  static constexpr std::uint32_t kLabelMask = 0x1FF;
  std::uint32_t link(Node node) const noexcept { return links_[node].bits; }

  // The longest key that `text` begins with.
  Match longest_prefix(std::string_view text) const noexcept;

  std::size_t num_nodes() const noexcept { return links_.size(); }

 private:
  friend class ByteTrieBuilder;

  static constexpr std::uint32_t kUnused = 0x100;  // a label that no byte has

  struct Link {
    std::uint32_t bits = kUnused;
    std::uint32_t value = kNoValue;
  };

  std::vector<Link> links_;
};

}  // namespace penstock
