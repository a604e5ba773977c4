#include "stages/tokenizer/unigram_lattice.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "pipeline/utf8.h"
#include "stages/tokenizer/model_refused.h"
#include "stages/tokenizer/piece_text.h"
#include "stages/tokenizer/utf8_decoding.h"

// The library's algorithm (EncodeOptimized in unigram_model.cc): going through the text a character
// at a time, every piece that begins here is a candidate for the best path to where it ends. Where
// no piece consists of the character here, an unknown character is a candidate, too. A candidate
// replaces what was found before if its score is greater. What the candidates are compared with was
// rounded to float; the candidates themselves were not, but for those with an unknown character.
namespace penstock {
namespace {

constexpr double kNoPath = -std::numeric_limits<double>::infinity();
constexpr float kUnknownPenalty = 10;
// What user-defined symbols lack of the score of the best pieces.
constexpr double kUserDefinedPenalty = 0.1;
constexpr int kFloatDigits = 24;
// The value of a trie's node at which no piece ends: minus infinity as a float.
constexpr std::uint32_t kNoPiece = 0xFF800000U;
// In magnitude; what comes from training is below 200.
constexpr double kLargestScore = 1e6;
// The relative error of a sum of two doubles.
constexpr double kDoubleError = DBL_EPSILON / 2;

// The largest exponent for which float sums below 2^exponent are exact to `unit`, which is not
// negative.
int exponent_for(double unit) {
  if (unit == std::numeric_limits<double>::infinity()) {
    return UnigramLattice::kAlways;
  }
  if (unit <= 0) {
    return UnigramLattice::kNever;
  }
  int exponent = 0;
  std::frexp(unit, &exponent);  // unit >= 2^(exponent - 1)
  return std::clamp(
      exponent - 1 + kFloatDigits, UnigramLattice::kNever, UnigramLattice::kLargestExponent);
}

float score_of(std::uint32_t trie_value) {
  return std::bit_cast<float>(trie_value);
}

}  // namespace

bool UnigramLattice::has(const Piece& piece) {
  const bool has_type =
      piece.type == PieceType::kNormal || piece.type == PieceType::kUserDefined;
  // A normalized text has no space but those that stand for U+2581.
  return has_type && piece.text.find(' ') == std::string::npos;
}

UnigramLattice::UnigramLattice(const SentencePieceModel& model) : unknown_id_(model.unknown_id) {
  add_pieces(model);
  add_scores(model);
}

void UnigramLattice::add_pieces(const SentencePieceModel& model) {
  std::vector<std::string> texts;
  texts.reserve(model.pieces.size());
  lengths_.resize(model.pieces.size());
  std::vector<ByteTrie::Entry> entries;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    if (!has(piece)) {
      continue;
    }
    if (piece.text.empty() || piece.text.find('\0') != std::string::npos ||
        !is_utf8(piece.text)) {
      throw ModelRefused("piece " + std::to_string(id) +
                         " is empty, has a zero byte, or is not valid UTF-8");
    }
    texts.push_back(with_spaces(piece.text));
    entries.push_back({texts.back(), static_cast<std::uint32_t>(id)});
    lengths_[id] = static_cast<std::uint32_t>(texts.back().size());
    longest_piece_ = std::max(longest_piece_, texts.back().size());
  }
  try {
    trie_ = ByteTrie(std::move(entries));
  } catch (const std::length_error& error) {
    throw ModelRefused(error.what());
  }
}

// Replaces the ids in the trie by scores.
void UnigramLattice::add_scores(const SentencePieceModel& model) {
  float least = FLT_MAX;
  float greatest = FLT_MIN;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kNormal) {
      least = std::min(least, piece.score);
      greatest = std::max(greatest, piece.score);
    }
  }
  unknown_score_ = least - kUnknownPenalty;
  largest_score_ = std::abs(double{unknown_score_});
  scores_.reserve(model.pieces.size());
  for (const Piece& piece : model.pieces) {
    const float bonus = static_cast<float>(piece.text.size()) * greatest;
    const bool is_user_defined = piece.type == PieceType::kUserDefined;
    const double score = is_user_defined ? bonus - kUserDefinedPenalty : double{piece.score};
    scores_.push_back(score);
    if (!has(piece)) {
      continue;
    }
    if (!(std::abs(score) < kLargestScore)) {
      throw ModelRefused("a piece has the score " + std::to_string(score));
    }
    largest_score_ = std::max(largest_score_, std::abs(score));
    score_error_ = std::max(score_error_, std::abs(score - double{static_cast<float>(score)}));
  }
  if (!(largest_score_ < kLargestScore)) {
    throw ModelRefused("it has no normal piece, or one with the score " + std::to_string(least));
  }
  ids_.resize(trie_.num_nodes());
  for (ByteTrie::Node node = 0; node < trie_.num_nodes(); ++node) {
    const std::uint32_t id = trie_.value(node);
    const bool is_piece = id != ByteTrie::kNoValue;
    ids_[node] = is_piece ? id : unknown_id_;
    trie_.set_value(node, is_piece ? std::bit_cast<std::uint32_t>(static_cast<float>(scores_[id]))
                                   : kNoPiece);
  }
}

// Without a branch for whether a piece ends somewhere: minus infinity changes nothing.
std::size_t UnigramLattice::best_path(std::string_view text,
                                      Workspace& workspace,
                                      std::vector<TokenId>& path,
                                      Proof& proof) const {
  std::vector<Node>& buffer = workspace.nodes_;
  if (buffer.size() <= text.size()) {
    buffer.resize(text.size() + 1);
  }
  Node* const nodes = buffer.data();
  const auto relax = [](Node& node, double score, std::size_t begin, ByteTrie::Node trie_node) {
    const bool is_better = score > node.best;
    node.second = std::max(node.second, std::min(node.best, score));
    node.best = std::max(node.best, score);
    node.begin = is_better ? static_cast<std::uint32_t>(begin) : node.begin;
    node.trie_node = is_better ? trie_node : node.trie_node;
  };
  nodes[0].best = 0;
  std::size_t prepared = 0;  // the nodes up to here have been cleared
  std::size_t reached = 0;   // the end of the piece that goes furthest
  std::size_t num_characters = 0;
  bool has_unknown = false;
  double deepest = 0;
  std::size_t begin = 0;
  do {
    for (const std::size_t end = std::min(text.size(), begin + longest_piece_); prepared < end;) {
      ++prepared;
      nodes[prepared] = {kNoPath, kNoPath, 0, kUnknown};
    }
    const double score = nodes[begin].best;
    deepest = std::max(deepest, std::abs(score));
    const std::size_t next = begin + utf8_length(text[begin]);
    ByteTrie::Node trie_node = ByteTrie::kRoot;
    std::uint32_t single = kNoPiece;
    for (std::size_t end = begin;
         end < text.size() && trie_.step(trie_node, static_cast<unsigned char>(text[end]));) {
      ++end;
      const std::uint32_t value = trie_.value(trie_node);
      reached = std::max(reached, value != kNoPiece ? end : 0);
      single = end == next ? value : single;
      relax(nodes[end], score + double{score_of(value)}, begin, trie_node);
    }
    if (single == kNoPiece) {
      relax(nodes[next], score + double{unknown_score_}, begin, kUnknown);
      reached = std::max(reached, next);
      has_unknown = true;
    }
    begin = next;
    ++num_characters;
  } while (begin < reached);
  proof.deepest = std::max(deepest, std::abs(nodes[reached].best)) + largest_score_;
  prove(nodes, reached, num_characters * (has_unknown ? 2 : 1), path, proof);
  return reached;
}

// Follows the best path back from `end`. See docs/tokenizer.md for why this is a proof.
void UnigramLattice::prove(const Node* nodes,
                           std::size_t end,
                           std::size_t num_steps,
                           std::vector<TokenId>& path,
                           Proof& proof) const {
  const auto first = static_cast<std::ptrdiff_t>(path.size());
  double gap = std::numeric_limits<double>::infinity();
  while (end > 0) {
    const Node& node = nodes[end];
    gap = std::min(gap, node.best - node.second);
    proof.sum += std::abs(node.best - nodes[node.begin].best);
    path.push_back(ids_[node.trie_node]);
    end = node.begin;
  }
  std::reverse(path.begin() + first, path.end());
  const auto steps = static_cast<double>(num_steps);
  const double own_error = 2 * steps * (2 * proof.deepest * kDoubleError + score_error_);
  proof.exponent = exponent_for((gap - own_error) / steps);
}

float UnigramLattice::rounded_path(std::string_view text,
                                   float score,
                                   Workspace& workspace,
                                   std::vector<TokenId>& path) const {
  std::vector<RoundedNode>& buffer = workspace.rounded_nodes_;
  if (buffer.size() <= text.size()) {
    buffer.resize(text.size() + 1);
  }
  RoundedNode* const nodes = buffer.data();
  constexpr std::uint32_t kNotReached = UINT32_MAX;
  std::size_t prepared = 0;
  // `candidate` is a double, or a float that became one without a loss.
  const auto relax = [&](std::size_t begin, std::size_t end, double candidate, TokenId id) {
    while (prepared < end) {
      nodes[++prepared].begin = kNotReached;
    }
    RoundedNode& node = nodes[end];
    if (node.begin == kNotReached || candidate > double{node.best}) {
      node = {static_cast<float>(candidate), static_cast<std::uint32_t>(begin), id};
    }
  };
  nodes[0].best = score;
  for (std::size_t begin = 0; begin < text.size();) {
    const float here = nodes[begin].best;
    const std::size_t next = begin + utf8_length(text[begin]);
    bool is_known = false;
    ByteTrie::Node trie_node = ByteTrie::kRoot;
    for (std::size_t end = begin;
         end < text.size() && trie_.step(trie_node, static_cast<unsigned char>(text[end]));) {
      ++end;
      if (trie_.value(trie_node) != kNoPiece) {
        const TokenId id = ids_[trie_node];
        relax(begin, end, scores_[id] + double{here}, id);
        is_known |= end == next;
      }
    }
    if (!is_known) {
      const float candidate = unknown_score_ + here;
      relax(begin, next, double{candidate}, unknown_id_);
    }
    begin = next;
  }
  const auto first = static_cast<std::ptrdiff_t>(path.size());
  for (std::size_t end = text.size(); end > 0; end = nodes[end].begin) {
    path.push_back(nodes[end].id);
  }
  std::reverse(path.begin() + first, path.end());
  return nodes[text.size()].best;
}

}  // namespace penstock
