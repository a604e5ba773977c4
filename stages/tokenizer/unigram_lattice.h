#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"
#include "stages/tokenizer/piece_automaton.h"
#include "stages/tokenizer/sentencepiece_model.h"

namespace penstock {

// Finds the segmentation of a text into pieces that the SentencePiece library's Unigram encoder
// finds. Texts are in the form that a Normalizer gives them. Immutable: every thread may use the
// same one, each with a workspace of its own.
//
// The library adds up scores in float from the start of the document, so what it decides inside a
// word depends on the score of everything in front of it, by way of rounding. `best_path` decides
// as if scores were real numbers and says up to which score the library must come to the same
// decision; `rounded_path` repeats the library's arithmetic.
class UnigramLattice {
 public:
  // Throws ModelRefused for a model with pieces that the library sees in another way.
  explicit UnigramLattice(const SentencePieceModel& model);

  // Whether paths may go through the piece.
  static bool has(const Piece& piece);

  static constexpr int kNever = -1;
  static constexpr int kAlways = 62;
  // Where the decision depends on rounding at all, no more is claimed than this.
  static constexpr int kLargestExponent = 24;

  // What holds for a part of a text and its best path. No piece enters or leaves the part.
  struct Proof {
    // The library takes the same path if no score that it adds up on the way, whichever piece it
    // looks at, reaches 2^exponent in magnitude.
    int exponent = kAlways;
    // No path from the begin that the library looks at has a score of a larger magnitude.
    double deepest = 0;
    // The sum of the magnitudes of the path's scores.
    double sum = 0;
    std::uint32_t num_bytes = 0;
    std::uint32_t num_ids = 0;
  };

  class Workspace;

  // Appends the ids of the best path of `text` to `path`; an unknown character has the unknown id.
  // Appends what is proved to `proofs`, part after part. No piece enters or leaves the text.
  void best_path(std::string_view text,
                 Workspace& workspace,
                 std::vector<TokenId>& path,
                 std::vector<Proof>& proofs) const;

  // Appends the ids of the library's path of `text`, at whose begin its score is `score` and which
  // no piece enters or leaves. Returns the score at the end.
  float rounded_path(std::string_view text,
                     float score,
                     Workspace& workspace,
                     std::vector<TokenId>& path) const;

  // The library's score behind one more piece, or unknown character. It adds doubles, and rounds;
  // for two floats that is what adding floats gives.
  float add_score(float score, TokenId id) const noexcept {
    const float added = float_scores_[id];
    return std::isnan(added) ? static_cast<float>(scores_[id] + double{score}) : added + score;
  }

  // Of a known piece, in a normalized text.
  std::size_t length_of(TokenId id) const noexcept { return lengths_[id]; }
  std::size_t num_bytes() const noexcept { return automaton_.num_bytes(); }
  float unknown_score() const noexcept { return unknown_score_; }
  TokenId unknown_id() const noexcept { return unknown_id_; }

 private:
  // What ends at a place in a text.
  struct Node {
    double best;                   // score of the best path from the text's begin
    double second;                 // of the best one that ends with another piece
    PieceAutomaton::Ending piece;  // the last one of the best path; kNone for an unknown character
    std::uint32_t num_unknown;     // characters in the text so far of which no piece consists
    std::uint32_t num_characters;
  };
  struct RoundedNode {
    float best;
    std::uint32_t begin;
    TokenId id;
  };

  void add_pieces(const SentencePieceModel& model);
  void add_scores(const SentencePieceModel& model);
  void find_nodes(std::string_view text, Workspace& workspace) const;
  Proof prove(std::string_view text,
              std::size_t begin,
              std::size_t end,
              const Node* nodes,
              std::vector<TokenId>& path) const;

  PieceAutomaton automaton_;
  std::vector<double> scores_;          // by id
  std::vector<float> float_scores_;     // by id, NaN where that is not the same
  std::vector<std::uint32_t> lengths_;  // by id
  float unknown_score_ = 0;
  TokenId unknown_id_ = 0;
  double largest_score_ = 0;  // in magnitude
  double score_error_ = 0;    // what the automaton's scores differ from the library's by, at most
};

// Keeps memory that one thread's calls use again.
class UnigramLattice::Workspace {
  friend class UnigramLattice;

  std::vector<Node> nodes_;
  std::vector<RoundedNode> rounded_nodes_;
  std::vector<std::size_t> cuts_;  // places that no piece crosses, from the begin to the end
};

}  // namespace penstock
