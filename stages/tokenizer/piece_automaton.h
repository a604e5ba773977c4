#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"

namespace penstock {

// Finds all pieces of a vocabulary in a text, going over it once, a byte at a time (the algorithm
// of Aho and Corasick on a ByteTrie). A state stands for the longest end of the text so far that a
// piece begins with. Immutable once built.
class PieceAutomaton {
 public:
  using State = std::uint32_t;
  static constexpr State kStart = 0;

  struct Piece {
    std::string_view text;  // not empty, at most kLongestPiece bytes
    TokenId id = 0;
    float score = 0;
  };
  static constexpr std::size_t kLongestPiece = 1023;

  PieceAutomaton() = default;
  // The pieces' texts are different from each other; they need not live on. Throws
  // std::length_error when there are more than the trie has room for.
  explicit PieceAutomaton(const std::vector<Piece>& pieces);

  State next(State state, unsigned char byte) const noexcept {
    for (;;) {
      const State child = (nodes_[state].link >> kOffsetShift) ^ byte;
      if ((nodes_[child].link & kLabelMask) == byte) {
        return child;
      }
      if (state == kStart) {
        return kStart;
      }
      state = nodes_[state].fallback;
    }
  }

  // A piece that ends in a state, and the next shorter one that does. After the last one comes
  // kNone, of length 0 and with the score minus infinity, and after that kNone again.
  using Ending = std::uint32_t;
  static constexpr Ending kNone = 0;
  Ending longest(State state) const noexcept { return longest_[state]; }
  Ending shorter(Ending ending) const noexcept {
    return endings_[ending].shorter_and_length >> kLengthBits;
  }
  std::size_t length(Ending ending) const noexcept {
    return endings_[ending].shorter_and_length & kLongestPiece;
  }
  float score(Ending ending) const noexcept { return endings_[ending].score; }
  TokenId id(Ending ending) const noexcept { return ids_[ending]; }

  std::size_t num_bytes() const noexcept {
    return nodes_.size() * (sizeof(Node) + sizeof(Ending)) +
           endings_.size() * (sizeof(PieceEnding) + sizeof(TokenId));
  }

 private:
  static constexpr unsigned kOffsetShift = 10;
  static constexpr std::uint32_t kLabelMask = 0x1FF;
  static constexpr unsigned kLengthBits = 10;

  struct Node {
    std::uint32_t link;  // as in a ByteTrie
    State fallback;      // the longest proper end of this state that is a state
  };
  struct PieceEnding {
    std::uint32_t shorter_and_length;
    float score;
  };

  void add_fallbacks(const std::vector<Piece>& pieces);

  std::vector<Node> nodes_;
  std::vector<Ending> longest_;       // by state
  std::vector<PieceEnding> endings_;  // kNone, then the pieces
  std::vector<TokenId> ids_;          // of the endings
};

}  // namespace penstock
