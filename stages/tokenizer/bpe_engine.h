#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "stages/tokenizer/bpe_vocabulary.h"
#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/normalizer.h"
#include "stages/tokenizer/space_runs.h"
#include "stages/tokenizer/split_proof.h"
#include "stages/tokenizer/text_splitter.h"
#include "stages/tokenizer/user_defined_symbols.h"

namespace penstock {

// Encodes with a BPE model. A text is cut where the vocabulary proves that no piece lies; each part
// is looked up among those seen before, and merged where it is new.
class BpeEngine final : public FastEngine {
 public:
  // Throws ModelRefused where the engine cannot be proved to give the library's ids. `simd_level`
  // as for text_kernels().
  explicit BpeEngine(const SentencePieceModel& model, std::string_view simd_level = {});

  std::unique_ptr<Encoder> make_encoder(std::unique_ptr<Encoder> library,
                                        std::size_t cache_bytes) const override;
  std::string summary() const override;
  std::string report() const override;

  const BpeVocabulary& vocabulary() const { return vocabulary_; }
  const UserDefinedSymbols& user_defined() const { return user_defined_; }
  const SpaceRuns& space_runs() const { return space_runs_; }
  const TextSplitter& splitter() const { return splitter_; }
  const TextKernels& kernels() const { return kernels_; }
  const Normalizer& normalizer() const { return normalizer_; }
  // Set where a run of unknown characters is one unknown id.
  std::optional<TokenId> joined_unknown_id() const { return joined_unknown_id_; }

 private:
  const BpeVocabulary vocabulary_;
  const UserDefinedSymbols user_defined_;
  const SpaceRuns space_runs_;
  const SplitProof proof_;
  const TextKernels kernels_;
  const TextSplitter splitter_;
  const Normalizer normalizer_;
  const std::optional<TokenId> joined_unknown_id_;
};

}  // namespace penstock
