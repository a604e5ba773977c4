#include "stages/tokenizer/piece_automaton.h"

#include <limits>
#include <numeric>
#include <utility>

#include "stages/tokenizer/byte_trie.h"

namespace penstock {

PieceAutomaton::PieceAutomaton(const std::vector<Piece>& pieces) {
  static_assert(kOffsetShift == ByteTrie::kOffsetShift && kLabelMask == ByteTrie::kLabelMask);
  static_assert(ByteTrie::kMostNodes <= std::size_t{1} << (32 - kLengthBits));
  std::vector<ByteTrie::Entry> entries;
  entries.reserve(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    entries.push_back({pieces[i].text, static_cast<std::uint32_t>(i)});
  }
  const ByteTrie trie(std::move(entries));
  nodes_.resize(trie.num_nodes());
  longest_.resize(trie.num_nodes());
  for (State state = 0; state < trie.num_nodes(); ++state) {
    nodes_[state] = {trie.link(state), kStart};
    const std::uint32_t piece = trie.value(state);
    longest_[state] = piece == ByteTrie::kNoValue ? kNone : piece + 1;
  }
  endings_.push_back({0, -std::numeric_limits<float>::infinity()});
  ids_.push_back(0);
  for (const Piece& piece : pieces) {
    endings_.push_back({static_cast<std::uint32_t>(piece.text.size()), piece.score});
    ids_.push_back(piece.id);
  }
  add_fallbacks(pieces);
}

// States of shorter texts first: their fallbacks lead to those of longer ones.
void PieceAutomaton::add_fallbacks(const std::vector<Piece>& pieces) {
  std::vector<State> states(pieces.size(), kStart);  // of what each piece begins with
  std::vector<bool> is_done(nodes_.size());
  std::vector<std::size_t> longer(pieces.size());  // those of more than `depth` bytes
  std::iota(longer.begin(), longer.end(), std::size_t{0});
  for (std::size_t depth = 0; !longer.empty(); ++depth) {
    for (const std::size_t i : longer) {
      const auto byte = static_cast<unsigned char>(pieces[i].text[depth]);
      const State parent = states[i];
      const State state = next(parent, byte);
      states[i] = state;
      if (!is_done[state]) {
        is_done[state] = true;
        const State fallback = depth == 0 ? kStart : next(nodes_[parent].fallback, byte);
        nodes_[state].fallback = fallback;
        if (longest_[state] == kNone) {
          longest_[state] = longest_[fallback];
        } else {
          endings_[longest_[state]].shorter_and_length |= longest_[fallback] << kLengthBits;
        }
      }
    }
    std::erase_if(longer, [&](std::size_t i) { return pieces[i].text.size() <= depth + 1; });
  }
}

}  // namespace penstock
