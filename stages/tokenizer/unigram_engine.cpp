#include "stages/tokenizer/unigram_engine.h"

#include <utility>
#include <vector>

#include "stages/tokenizer/model_refused.h"
#include "stages/tokenizer/unigram_encoder.h"
#include "stages/tokenizer/unigram_word.h"

namespace penstock {
namespace {

// What paths may go through. A normalized text has no space but those that stand for U+2581.
std::vector<std::string_view> lattice_pieces(const SentencePieceModel& model) {
  std::vector<std::string_view> pieces;
  for (const Piece& piece : model.pieces) {
    if (UnigramLattice::has(piece)) {
      pieces.emplace_back(piece.text);
    }
  }
  return pieces;
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
      normalizer_(checked(model), kernels_),
      lattice_(model),
      proof_(lattice_pieces(model)),
      splitter_(proof_, kernels_),
      byte_fallback_(model.byte_fallback),
      byte_ids_(model.byte_ids) {}

std::unique_ptr<Encoder> UnigramEngine::make_encoder(std::unique_ptr<Encoder> library,
                                                     std::size_t cache_bytes) const {
  return make_unigram_encoder(*this, std::move(library), cache_bytes);
}

std::string UnigramEngine::summary() const {
  return "Unigram";
}

std::string UnigramEngine::report() const {
  return proof_.report();
}

}  // namespace penstock
