#include "stages/tokenizer/unigram_engine.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "stages/tokenizer/model_refused.h"
#include "stages/tokenizer/unigram_encoder.h"
#include "stages/tokenizer/unigram_word.h"

namespace penstock {
namespace {

constexpr char kUnknown = '\n';

// Pieces with a line feed are rare, and it has a class of its own when texts are split.
std::optional<char> choose_unknown(const SentencePieceModel& model) {
  const bool is_known =
      std::any_of(model.pieces.begin(), model.pieces.end(), [](const Piece& piece) {
        return piece.text.find(kUnknown) != std::string::npos;
      });
  return is_known || model.byte_fallback ? std::nullopt : std::optional(kUnknown);
}

// Where texts may be split: not in what paths may go through, but for rare symbols, which are
// looked for, and not in runs of unknown characters.
SplitProof make_proof(const SentencePieceModel& model, std::optional<char> unknown) {
  std::vector<std::string_view> pieces;
  for (const Piece& piece : model.pieces) {
    if (UnigramLattice::has(piece) && !RareSymbols::has(piece)) {
      pieces.emplace_back(piece.text);
    }
  }
  SplitProof proof(pieces);
  if (unknown) {
    proof.keep_together(static_cast<unsigned char>(*unknown), static_cast<unsigned char>(*unknown));
  }
  return proof;
}

const SentencePieceModel& checked(const SentencePieceModel& model) {
  if (model.pieces.size() > kLargestUnigramId) {
    throw ModelRefused("it has " + std::to_string(model.pieces.size()) + " pieces, more than " +
                       std::to_string(kLargestUnigramId));
  }
  return model;
}

}  // namespace

UnigramEngine::UnigramEngine(const SentencePieceModel& model, std::string_view simd_level)
    : kernels_(text_kernels(simd_level)),
      unknown_(choose_unknown(checked(model))),
      normalizer_(model, kernels_, unknown_),
      lattice_(model),
      rare_symbols_(model),
      proof_(make_proof(model, unknown_)),
      splitter_(proof_, kernels_),
      byte_fallback_(model.byte_fallback),
      byte_ids_(model.byte_ids) {}

std::unique_ptr<Encoder> UnigramEngine::make_encoder(std::unique_ptr<Encoder> library,
                                                     std::size_t cache_bytes) const {
  return make_unigram_encoder(*this, std::move(library), cache_bytes);
}

std::string UnigramEngine::summary() const {
  return "Unigram with " + std::to_string(proof_.num_pairs()) +
         " pairs of characters that are not cut apart";
}

std::string UnigramEngine::report() const {
  std::string text =
      "Lattice: an automaton of " + std::to_string(lattice_.num_bytes() >> 10U) +
      " KiB that all threads share.\n\n"
      "A text is cut where no piece can lie across:\n" +
      proof_.report() +
      "\nFrom U+0800 on each pair of characters is looked up. What a word's ids are is "
      "decided anew where\nthe rounding of the score in front of it might change it.";
  if (rare_symbols_.size() > 0) {
    text += " " + std::to_string(rare_symbols_.size()) +
            " user-defined symbols\nare looked for in each text, which is not cut inside of them.";
  }
  return text + " A text that is not valid UTF-8 is encoded\nby the library.\n";
}

}  // namespace penstock
