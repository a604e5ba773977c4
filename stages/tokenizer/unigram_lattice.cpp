#include "stages/tokenizer/unigram_lattice.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "pipeline/utf8.h"
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
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
constexpr int kFloatDigits = 24;
// The relative error of a sum of two doubles.
constexpr double kDoubleError = DBL_EPSILON / 2;

bool is_in_lattice(const Piece& piece) {
  return piece.type == PieceType::kNormal || piece.type == PieceType::kUserDefined;
}

// A piece with a space for each U+2581, as normalized texts have them.
std::string normalized_form(const std::string& piece) {
  std::string form;
  std::size_t begin = 0;
  for (std::size_t mark = piece.find(kSpaceMark); mark != std::string::npos;
       mark = piece.find(kSpaceMark, begin)) {
    form.append(piece, begin, mark - begin).push_back(' ');
    begin = mark + kSpaceMark.size();
  }
  return form.append(piece, begin);
}

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

}  // namespace

UnigramLattice::UnigramLattice(const SentencePieceModel& model) : unknown_id_(model.unknown_id) {
  std::vector<std::string> forms;
  forms.reserve(model.pieces.size());
  lengths_.resize(model.pieces.size());
  std::vector<ByteTrie::Entry> entries;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    if (!is_in_lattice(piece)) {
      continue;
    }
    if (piece.text.empty() || piece.text.find('\0') != std::string::npos || !is_utf8(piece.text)) {
      throw std::runtime_error("piece " + std::to_string(id) +
                               " is empty, has a zero byte, or is not valid UTF-8");
    }
    // A normalized text has no space but those that stand for U+2581.
    if (piece.text.find(' ') == std::string::npos) {
      forms.push_back(normalized_form(piece.text));
      entries.push_back({forms.back(), static_cast<std::int32_t>(id)});
      lengths_[id] = static_cast<std::uint32_t>(forms.back().size());
    }
  }
  trie_ = ByteTrie(std::move(entries));
  add_scores(model);
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
    const bool is_user_defined = piece.type == PieceType::kUserDefined;
    const float bonus = static_cast<float>(piece.text.size()) * greatest;
    scores_.push_back(is_user_defined ? bonus - kUserDefinedPenalty : double{piece.score});
    if (is_in_lattice(piece) && !(std::abs(scores_.back()) < 1e6)) {
      throw std::runtime_error("a piece has the score " + std::to_string(scores_.back()));
    }
    if (is_in_lattice(piece)) {
      largest_score_ = std::max(largest_score_, std::abs(scores_.back()));
    }
  }
}

std::size_t UnigramLattice::best_path(std::string_view text,
                                      std::uint32_t origin,
                                      Workspace& workspace,
                                      std::vector<Token>& tokens,
                                      Proof& proof) const {
  std::vector<Node>& nodes = workspace.nodes;
  if (nodes.size() <= text.size()) {
    nodes.resize(text.size() + 1);
  }
  std::size_t reached = 0;  // the end of the piece that goes furthest
  const auto relax = [&](std::size_t begin, std::size_t end, double score, TokenId id) {
    while (reached < end) {
      ++reached;
      nodes[reached].best = kNoPath;
      nodes[reached].second = kNoPath;
    }
    Node& node = nodes[end];
    if (score > node.best) {
      node.second = node.best;
      node.best = score;
      node.begin = static_cast<std::uint32_t>(begin);
      node.id = id;
    } else if (score > node.second) {
      node.second = score;
    }
  };
  nodes[0].best = 0;
  std::size_t num_characters = 0;
  bool has_unknown = false;
  std::size_t begin = 0;
  do {
    const double score = nodes[begin].best;
    const std::size_t next = begin + utf8_length(text[begin]);
    bool is_known = false;
    ByteTrie::Node node = ByteTrie::kRoot;
    for (std::size_t end = begin;
         end < text.size() && trie_.step(node, static_cast<unsigned char>(text[end]));) {
      ++end;
      const std::int32_t id = trie_.value(node);
      if (id != ByteTrie::kNoValue) {
        relax(begin, end, score + scores_[static_cast<std::size_t>(id)], static_cast<TokenId>(id));
        is_known |= end == next;
      }
    }
    if (!is_known) {
      relax(begin, next, score + double{unknown_score_}, unknown_id_);
      has_unknown = true;
    }
    begin = next;
    ++num_characters;
  } while (begin < reached);

  // The smallest distance to another decision on the best path, and the most that scores reach.
  double gap = std::numeric_limits<double>::infinity();
  double deepest = 0;
  for (std::size_t end = 1; end <= reached; ++end) {
    if (nodes[end].best != kNoPath) {
      deepest = std::max(deepest, std::abs(nodes[end].best));
    }
  }
  const std::size_t first_token = tokens.size();
  for (std::size_t end = reached; end > 0; end = nodes[end].begin) {
    const Node& node = nodes[end];
    gap = std::min(gap, node.best - node.second);
    tokens.push_back({node.id, origin + node.begin});
    proof.sum += std::abs(node.id == unknown_id_ ? double{unknown_score_} : scores_[node.id]);
    proof.has_unknown |= node.id == unknown_id_;
  }
  std::reverse(tokens.begin() + static_cast<std::ptrdiff_t>(first_token), tokens.end());
  // The proof is in docs/tokenizer.md.
  const double steps = static_cast<double>(num_characters) * (has_unknown ? 2 : 1);
  const double own_error = 4 * static_cast<double>(num_characters) * deepest * kDoubleError;
  proof.exponent = std::min(proof.exponent, exponent_for((gap - own_error) / steps));
  proof.deepest = deepest + largest_score_;
  return reached;
}

float UnigramLattice::rounded_path(std::string_view text,
                                   float score,
                                   Workspace& workspace,
                                   std::vector<Token>& tokens) const {
  std::vector<RoundedNode>& nodes = workspace.rounded_nodes;
  if (nodes.size() <= text.size()) {
    nodes.resize(text.size() + 1);
  }
  std::size_t reached = 0;
  // `candidate` is a double, or a float that it is converted from without a loss.
  const auto relax = [&](std::size_t begin, std::size_t end, double candidate, TokenId id) {
    for (; reached < end; ++reached) {
      nodes[reached + 1].begin = UINT32_MAX;
    }
    RoundedNode& node = nodes[end];
    if (node.begin == UINT32_MAX || candidate > double{node.best}) {
      node = {static_cast<float>(candidate), static_cast<std::uint32_t>(begin), id};
    }
  };
  nodes[0].best = score;
  for (std::size_t begin = 0; begin < text.size();) {
    const float here = nodes[begin].best;
    const std::size_t next = begin + utf8_length(text[begin]);
    bool is_known = false;
    ByteTrie::Node node = ByteTrie::kRoot;
    for (std::size_t end = begin;
         end < text.size() && trie_.step(node, static_cast<unsigned char>(text[end]));) {
      ++end;
      const std::int32_t id = trie_.value(node);
      if (id != ByteTrie::kNoValue) {
        relax(begin,
              end,
              scores_[static_cast<std::size_t>(id)] + double{here},
              static_cast<TokenId>(id));
        is_known |= end == next;
      }
    }
    if (!is_known) {
      const float candidate = unknown_score_ + here;
      relax(begin, next, double{candidate}, unknown_id_);
    }
    begin = next;
  }
  const std::size_t first_token = tokens.size();
  for (std::size_t end = text.size(); end > 0; end = nodes[end].begin) {
    tokens.push_back({nodes[end].id, nodes[end].begin});
  }
  std::reverse(tokens.begin() + static_cast<std::ptrdiff_t>(first_token), tokens.end());
  return nodes[text.size()].best;
}

}  // namespace penstock
