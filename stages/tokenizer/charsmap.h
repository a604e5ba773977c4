#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

// Holds the replacement rules of a SentencePiece model (precompiled_charsmap): 4 bytes with the
// size of a double array of the Darts-clone library in bytes, little-endian, the array, and the
// replacements, each ended by a zero byte, whose positions are the array's values. Immutable.
//
// The array is a whole number of blocks of 256 units. The children of a node are at its position
// `exclusive or` their bytes, so they are all in one block.
class Charsmap {
 public:
  struct Rule {
    std::size_t length = 0;  // of what is replaced; 0 says that no rule applies
    std::string_view replacement;
  };

  // A rule makes a text at most so many times as long.
  static constexpr std::size_t kMostGrowth = 31;

  // Without a rule.
  Charsmap() = default;
  // Throws ModelRefused for what is damaged.
  explicit Charsmap(std::string_view bytes);

  // Why walks through these bytes, which the library does without looking, are not safe: they leave
  // the array or the replacements, have no end, or find more rules than the library has room for.
  // Begins with a verb; empty where they are safe.
  static std::string danger(std::string_view bytes);

  bool empty() const noexcept { return units_.empty(); }

  // The rule for the longest front of `text` that there is one for.
  Rule longest_rule(std::string_view text) const;

  // What a code point does in the rules' left-hand sides.
  struct Role {
    bool is_replaced = false;  // on its own
    bool continues = false;    // stands behind another one
  };
  // Calls `visit` with every code point that has a role, in no order, some of them more than once.
  // Throws ModelRefused when the rules are not about whole characters, make texts too long, or take
  // too many steps to go through.
  void visit_roles(const std::function<void(char32_t, Role)>& visit) const;

 private:
  struct Paths;
  struct Walk;

  void read(std::string_view bytes);
  // The position that holds the children of the node that begins at unit `unit`.
  static std::size_t children_of(std::uint32_t unit);
  // Goes on from `position` by `byte`; returns whether there is such a node, whose unit is `unit`
  // then.
  bool step(std::size_t& position, unsigned char byte, std::uint32_t& unit) const;
  std::string_view replacement_at(std::size_t position) const;

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace penstock
