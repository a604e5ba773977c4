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

// What a text is not to be split in: what paths may go through, but for rare symbols, which are
// looked for, and runs of unknown characters.
std::vector<std::string_view> joined_pieces(const SentencePieceModel& model,
                                            std::optional<char> unknown) {
  static constexpr std::string_view kUnknownRun = "\n\n";
  std::vector<std::string_view> pieces;
  for (const Piece& piece : model.pieces) {
    if (UnigramLattice::has(piece) && !RareSymbols::has(piece)) {
      pieces.emplace_back(piece.text);
    }
  }
  if (unknown) {
    pieces.push_back(kUnknownRun);
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
      unknown_(choose_unknown(checked(model))),
      normalizer_(model, kernels_, unknown_),
      lattice_(model),
      rare_symbols_(model),
      proof_(joined_pieces(model, unknown_)),
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
