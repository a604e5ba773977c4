#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"
#include "stages/tokenizer/byte_trie.h"
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

  // What holds for `best_path`.
  struct Proof {
    // The library takes the same path if no score that it adds up on the way, whichever piece it
    // looks at, reaches 2^exponent in magnitude.
    int exponent = kAlways;
    // No path from the begin that the library looks at has a score of a larger magnitude.
    double deepest = 0;
    // The sum of the magnitudes of the path's scores.
    double sum = 0;
  };
  static constexpr int kNever = -1;
  static constexpr int kAlways = 62;
  // Where the decision depends on rounding at all, no more is claimed than this.
  static constexpr int kLargestExponent = 24;

  class Workspace;

  // Appends the ids of the best path of the front of `text`, up to the first place that no piece in
  // the text crosses, to `path`; an unknown character has the unknown id. Returns the length of that
  // front.
  std::size_t best_path(std::string_view text,
                        Workspace& workspace,
                        std::vector<TokenId>& path,
                        Proof& proof) const;

  // Appends the ids of the library's path of all of `text`, at whose begin its score is `score` and
  // which no piece enters or leaves. Returns the score at the end.
  float rounded_path(std::string_view text,
                     float score,
                     Workspace& workspace,
                     std::vector<TokenId>& path) const;

  // The library's score behind one more piece, or unknown character.
  float add_score(float score, TokenId id) const noexcept {
    return id == unknown_id_ ? unknown_score_ + score : static_cast<float>(scores_[id] + score);
  }

  // Of a known piece, in a normalized text.
  std::size_t length_of(TokenId id) const noexcept { return lengths_[id]; }
  TokenId unknown_id() const noexcept { return unknown_id_; }

 private:
  // What ends at a place in a text.
  struct Node {
    double best;                // score of the best path from the begin
    double second;              // of the best one that ends with another piece
    std::uint32_t begin;        // of the best path's last piece
    ByteTrie::Node trie_node;   // of that piece; kUnknown for an unknown character
  };
  struct RoundedNode {
    float best;
    std::uint32_t begin;
    TokenId id;
  };
  // The node of an unknown character: the root ends no piece.
  static constexpr ByteTrie::Node kUnknown = ByteTrie::kRoot;

  void add_pieces(const SentencePieceModel& model);
  void add_scores(const SentencePieceModel& model);
  void prove(const Node* nodes,
             std::size_t end,
             std::size_t num_steps,
             std::vector<TokenId>& path,
             Proof& proof) const;

  // The values are scores as floats, minus infinity where no piece ends.
  ByteTrie trie_;
  std::vector<TokenId> ids_;             // by node of the trie
  std::vector<double> scores_;           // by id
  std::vector<std::uint32_t> lengths_;   // by id
  std::size_t longest_piece_ = 0;
  float unknown_score_ = 0;
  TokenId unknown_id_ = 0;
  double largest_score_ = 0;  // in magnitude
  double score_error_ = 0;    // what the trie's scores differ from the library's by, at most
};

// Keeps memory that one thread's calls use again.
class UnigramLattice::Workspace {
  friend class UnigramLattice;

  std::vector<Node> nodes_;
  std::vector<RoundedNode> rounded_nodes_;
};

}  // namespace penstock
