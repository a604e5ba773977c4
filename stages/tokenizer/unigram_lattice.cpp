#include "stages/tokenizer/unigram_lattice.h"

#include <algorithm>
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
constexpr float kNoFloat = std::numeric_limits<float>::quiet_NaN();
constexpr float kUnknownPenalty = 10;
// What user-defined symbols lack of the score of the best pieces.
constexpr double kUserDefinedPenalty = 0.1;
constexpr int kFloatDigits = 24;
// In magnitude; what comes from training is below 200.
constexpr double kLargestScore = 1e6;
constexpr int kEndingsAtOnce = 4;
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

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

}  // namespace

bool UnigramLattice::has(const Piece& piece) {
  const bool has_type = piece.type == PieceType::kNormal || piece.type == PieceType::kUserDefined;
  // A normalized text has no space but those that stand for U+2581.
  return has_type && piece.text.find(' ') == std::string::npos;
}

UnigramLattice::UnigramLattice(const SentencePieceModel& model) : unknown_id_(model.unknown_id) {
  add_scores(model);
  add_pieces(model);
}

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
    const auto rounded = static_cast<float>(score);
    float_scores_.push_back(double{rounded} == score ? rounded : kNoFloat);
    if (!has(piece)) {
      continue;
    }
    if (!(std::abs(score) < kLargestScore)) {
      throw ModelRefused("a piece has the score " + std::to_string(score));
    }
    largest_score_ = std::max(largest_score_, std::abs(score));
    score_error_ = std::max(score_error_, std::abs(score - double{static_cast<float>(score)}));
  }
  float_scores_[unknown_id_] = unknown_score_;
  if (!(largest_score_ < kLargestScore)) {
    throw ModelRefused("it has no normal piece, or one with the score " + std::to_string(least));
  }
}

void UnigramLattice::add_pieces(const SentencePieceModel& model) {
  std::vector<std::string> texts;
  texts.reserve(model.pieces.size());
  lengths_.resize(model.pieces.size());
  std::vector<PieceAutomaton::Piece> pieces;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    // The library takes a piece to end before its first zero byte.
    if (piece.type == PieceType::kNormal && piece.text.find('\0') != std::string::npos) {
      throw ModelRefused("piece " + std::to_string(id) + " has a zero byte");
    }
    if (!has(piece)) {
      continue;
    }
    if (piece.text.empty() || piece.text.find('\0') != std::string::npos || !is_utf8(piece.text)) {
      throw ModelRefused("piece " + std::to_string(id) +
                         " is empty, has a zero byte, or is not valid UTF-8");
    }
    if (piece.text.size() > PieceAutomaton::kLongestPiece) {
      throw ModelRefused("piece " + std::to_string(id) + " has " +
                         std::to_string(piece.text.size()) + " bytes");
    }
    texts.push_back(with_spaces(piece.text));
    lengths_[id] = static_cast<std::uint32_t>(texts.back().size());
    pieces.push_back({texts.back(), static_cast<TokenId>(id), static_cast<float>(scores_[id])});
  }
  try {
    automaton_ = PieceAutomaton(pieces);
  } catch (const std::length_error& error) {
    throw ModelRefused(error.what());
  }
}

void UnigramLattice::best_path(std::string_view text,
                               Workspace& workspace,
                               std::vector<TokenId>& path,
                               std::vector<Proof>& proofs) const {
  if (workspace.nodes_.size() <= text.size()) {
    workspace.nodes_.resize(text.size() + 1);
  }
  find_nodes(text, workspace);
  const auto first_id = static_cast<std::ptrdiff_t>(path.size());
  const auto first_proof = static_cast<std::ptrdiff_t>(proofs.size());
  const std::vector<std::size_t>& cuts = workspace.cuts_;
  for (std::size_t i = cuts.size(); i-- > 1;) {
    proofs.push_back(prove(text, cuts[i - 1], cuts[i], workspace.nodes_.data(), path));
  }
  std::reverse(path.begin() + first_id, path.end());
  std::reverse(proofs.begin() + first_proof, proofs.end());
}

void UnigramLattice::find_nodes(std::string_view text, Workspace& workspace) const {
  Node* const nodes = workspace.nodes_.data();
  std::vector<std::size_t>& cuts = workspace.cuts_;
  cuts.assign(1, 0);
  nodes[0] = {0, kNoPath, PieceAutomaton::kNone, 0, 0};
  PieceAutomaton::State state = PieceAutomaton::kStart;
  std::size_t begin = 0;  // of the last character
  std::uint32_t num_characters = 0;
  std::uint32_t num_unknown = 0;
  for (std::size_t end = 1; end <= text.size(); ++end) {
    state = automaton_.next(state, static_cast<unsigned char>(text[end - 1]));
    if (end < text.size() && is_continuation(text[end])) {
      continue;
    }
    Node node{kNoPath, kNoPath, PieceAutomaton::kNone, 0, 0};
    const auto consider = [&node](double score, PieceAutomaton::Ending piece) {
      node.second = std::max(node.second, std::min(node.best, score));
      node.piece = score > node.best ? piece : node.piece;
      node.best = std::max(node.best, score);
    };
    PieceAutomaton::Ending piece = automaton_.longest(state);
    std::size_t shortest = automaton_.length(piece);
    const std::size_t crossed = std::min(begin, end - shortest);
    // kNone changes nothing, and a fixed number of steps spares mispredicted branches.
    nodes[end].best = kNoPath;
    do {
      for (int i = 0; i < kEndingsAtOnce; ++i) {
        const std::size_t length = automaton_.length(piece);
        shortest = length == 0 ? shortest : length;
        consider(nodes[end - length].best + double{automaton_.score(piece)}, piece);
        piece = automaton_.shorter(piece);
      }
    } while (piece != PieceAutomaton::kNone);
    if (shortest != end - begin) {
      consider(nodes[begin].best + double{unknown_score_}, PieceAutomaton::kNone);
      ++num_unknown;
    }
    node.num_unknown = num_unknown;
    node.num_characters = ++num_characters;
    nodes[end] = node;
    while (cuts.back() > crossed) {
      cuts.pop_back();
    }
    cuts.push_back(end);
    begin = end;
  }
}

// Follows the best path back from `end`. See docs/tokenizer.md for why this is a proof.
UnigramLattice::Proof UnigramLattice::prove(std::string_view text,
                                            std::size_t begin,
                                            std::size_t end,
                                            const Node* nodes,
                                            std::vector<TokenId>& path) const {
  Proof proof;
  proof.num_bytes = static_cast<std::uint32_t>(end - begin);
  const std::size_t first_id = path.size();
  double gap = std::numeric_limits<double>::infinity();
  for (std::size_t at = end; at > begin;) {
    const Node& node = nodes[at];
    gap = std::min(gap, node.best - node.second);
    if (node.piece == PieceAutomaton::kNone) {
      path.push_back(unknown_id_);
      do {
        --at;
      } while (is_continuation(text[at]));
    } else {
      path.push_back(automaton_.id(node.piece));
      at -= automaton_.length(node.piece);
    }
    proof.sum += std::abs(node.best - nodes[at].best);
  }
  proof.num_ids = static_cast<std::uint32_t>(path.size() - first_id);
  double deepest = 0;
  for (std::size_t at = begin + 1; at <= end; ++at) {
    if (at == text.size() || !is_continuation(text[at])) {
      deepest = std::max(deepest, std::abs(nodes[at].best - nodes[begin].best));
    }
  }
  proof.deepest = deepest + largest_score_;
  const bool has_unknown = nodes[end].num_unknown != nodes[begin].num_unknown;
  const auto steps = static_cast<double>(nodes[end].num_characters - nodes[begin].num_characters);
  const double own_error =
      2 * static_cast<double>(nodes[end].num_characters) *
      (2 * (std::abs(nodes[begin].best) + proof.deepest) * kDoubleError + score_error_);
  proof.exponent = exponent_for((gap - own_error) / (has_unknown ? 2 * steps : steps));
  return proof;
}

// In the library's order: of the pieces that end somewhere, the longest one begins first.
float UnigramLattice::rounded_path(std::string_view text,
                                   float score,
                                   Workspace& workspace,
                                   std::vector<TokenId>& path) const {
  if (workspace.rounded_nodes_.size() <= text.size()) {
    workspace.rounded_nodes_.resize(text.size() + 1);
  }
  RoundedNode* const nodes = workspace.rounded_nodes_.data();
  nodes[0].best = score;
  PieceAutomaton::State state = PieceAutomaton::kStart;
  std::size_t begin = 0;
  for (std::size_t end = 1; end <= text.size(); ++end) {
    state = automaton_.next(state, static_cast<unsigned char>(text[end - 1]));
    if (end < text.size() && is_continuation(text[end])) {
      continue;
    }
    bool is_first = true;
    const auto consider = [&](double candidate, std::size_t from, TokenId id) {
      if (is_first || candidate > double{nodes[end].best}) {
        nodes[end] = {static_cast<float>(candidate), static_cast<std::uint32_t>(from), id};
      }
      is_first = false;
    };
    std::size_t length = 0;
    for (PieceAutomaton::Ending piece = automaton_.longest(state); piece != PieceAutomaton::kNone;
         piece = automaton_.shorter(piece)) {
      length = automaton_.length(piece);
      const TokenId id = automaton_.id(piece);
      consider(scores_[id] + double{nodes[end - length].best}, end - length, id);
    }
    if (length != end - begin) {
      // A float, which the comparison turns into a double without a loss.
      const float candidate = unknown_score_ + nodes[begin].best;
      consider(double{candidate}, begin, unknown_id_);
    }
    begin = end;
  }
  const auto first = static_cast<std::ptrdiff_t>(path.size());
  for (std::size_t end = text.size(); end > 0; end = nodes[end].begin) {
    path.push_back(nodes[end].id);
  }
  std::reverse(path.begin() + first, path.end());
  return nodes[text.size()].best;
}

}  // namespace penstock
