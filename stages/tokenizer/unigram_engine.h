#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/normalizer.h"
#include "stages/tokenizer/rare_symbols.h"
#include "stages/tokenizer/split_proof.h"
#include "stages/tokenizer/text_splitter.h"
#include "stages/tokenizer/unigram_lattice.h"

namespace penstock {

// Encodes with a Unigram model. A text is normalized and cut where the vocabulary proves that no
// piece lies; each part is looked up among those seen before, with a proof that the library decides
// in the same way there, and is decided anew where it is new or nothing is proved.
class UnigramEngine final : public FastEngine {
 public:
  // `simd_level` as for text_kernels(). Throws ModelRefused where the engine cannot be proved to
  // give the library's ids.
  explicit UnigramEngine(const SentencePieceModel& model, std::string_view simd_level = {});

  std::unique_ptr<Encoder> make_encoder(std::unique_ptr<Encoder> library,
                                        std::size_t cache_bytes) const override;
  std::string summary() const override;
  std::string report() const override;

  const TextKernels& kernels() const { return kernels_; }
  const Normalizer& normalizer() const { return normalizer_; }
  const UnigramLattice& lattice() const { return lattice_; }
  const RareSymbols& rare_symbols() const { return rare_symbols_; }
  // For texts without rare symbols.
  const SplitProof& proof() const { return proof_; }
  const TextSplitter& splitter() const { return splitter_; }
  // Normalized texts have this for most unknown characters, runs of which are words. Nothing where
  // unknown characters become the ids of their bytes.
  std::optional<char> unknown() const { return unknown_; }
  // The id of each byte where unknown characters become those of their bytes, else null.
  const TokenId* byte_ids() const { return byte_fallback_ ? byte_ids_.data() : nullptr; }

 private:
  const TextKernels kernels_;
  const std::optional<char> unknown_;
  const Normalizer normalizer_;
  const UnigramLattice lattice_;
  const RareSymbols rare_symbols_;
  const SplitProof proof_;
  const TextSplitter splitter_;
  const bool byte_fallback_;
  const std::array<TokenId, 256> byte_ids_;
};

}  // namespace penstock
