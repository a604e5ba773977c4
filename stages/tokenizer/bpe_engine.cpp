#include "stages/tokenizer/bpe_engine.h"

#include <utility>
#include <vector>

#include "stages/tokenizer/bpe_encoder.h"
#include "stages/tokenizer/model_refused.h"

namespace penstock {
namespace {

// What merging can arrive at. User-defined symbols are cut out before.
std::vector<std::string_view> merged_pieces(const SentencePieceModel& model) {
  std::vector<std::string_view> pieces;
  for (const Piece& piece : model.pieces) {
    if (piece.type == PieceType::kNormal && piece.text.find(' ') == std::string::npos) {
      pieces.push_back(piece.text);
    }
  }
  return pieces;
}

// The model, if merging can be done as the library does it.
const SentencePieceModel& checked(const SentencePieceModel& model) {
  for (std::string reason : {UserDefinedSymbols::refusal(model), BpeVocabulary::refusal(model)}) {
    if (!reason.empty()) {
      throw ModelRefused(std::move(reason));
    }
  }
  return model;
}

}  // namespace

BpeEngine::BpeEngine(const SentencePieceModel& model, std::string_view simd_level)
    : vocabulary_(checked(model)),
      user_defined_(model),
      space_runs_(model),
      proof_(merged_pieces(model)),
      kernels_(text_kernels(simd_level)),
      splitter_(proof_, kernels_),
      normalizer_(model, kernels_),
      joined_unknown_id_(model.byte_fallback ? std::nullopt : std::optional(model.unknown_id)) {}

std::unique_ptr<Encoder> BpeEngine::make_encoder(std::unique_ptr<Encoder> library,
                                                 std::size_t cache_bytes) const {
  return make_bpe_encoder(*this, std::move(library), cache_bytes);
}

std::string BpeEngine::summary() const {
  std::string text = "BPE with " + std::to_string(proof_.num_pairs()) +
                     " pairs of characters that are not cut apart";
  if (!user_defined_.is_empty()) {
    text += ", " + std::to_string(user_defined_.size()) + " user-defined symbols";
  }
  return text;
}

std::string BpeEngine::report() const {
  return "Merges: " + std::to_string(vocabulary_.pairs().size()) + " pairs of " +
         std::to_string(vocabulary_.num_symbols()) + " symbols, in tables of " +
         std::to_string(vocabulary_.table_bytes() >> 10U) +
         " KiB that all threads share.\n\n"
         "A text is cut where no piece can lie across:\n" +
         proof_.report() +
         (space_runs_.are_cut()
              ? "\nA run of spaces is cut before its last one: pieces of several spaces are worse "
                "than all others.\n"
              : "\n") +
         "From U+0800 on, and from U+0080 to U+00BF, each pair of characters is looked up. A text "
         "is not\ncut inside a user-defined symbol, and always cut before and behind it. A text "
         "that is not valid\nUTF-8 is encoded by the library.\n";
}

}  // namespace penstock
