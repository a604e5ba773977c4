#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "stages/tokenizer/sentencepiece_model.h"
#include "stages/tokenizer/tokenizer.h"

namespace penstock {

// Encodes with a SentencePiece model by an algorithm of our own that gives the same ids as the
// library. Holds what its encoders share; immutable but for a lock.
class FastEngine {
 public:
  FastEngine() = default;
  FastEngine(const FastEngine&) = delete;
  FastEngine& operator=(const FastEngine&) = delete;
  virtual ~FastEngine() = default;

  // The encoder's tables for words it has seen take up to `cache_bytes`, whatever it encodes. What
  // the engine cannot prove for a text goes to `library`. The engine outlives the encoder.
  virtual std::unique_ptr<Encoder> make_encoder(std::unique_ptr<Encoder> library,
                                                std::size_t cache_bytes) const = 0;
  // A word longer than this, which is a part of a text that cannot be cut, is encoded under a lock
  // that the encoders share: it needs up to 200 times its size of memory, which is given back.
  static constexpr std::size_t kLongWordBytes = std::size_t{1} << 16;
  std::mutex& long_words() const { return long_words_; }

  // What it is, for people: "BPE, splits at ...".
  virtual std::string summary() const = 0;
  // The proof, and the sizes of the shared tables, as lines of text.
  virtual std::string report() const = 0;

 private:
  mutable std::mutex long_words_;
};

struct FastEngineResult {
  std::unique_ptr<const FastEngine> engine;
  std::string refusal;  // why there is none
};

// The engine for the model, if what the engine relies on can be proved of it. `simd_level` as for
// text_kernels().
FastEngineResult make_fast_engine(const SentencePieceModel& model,
                                  std::string_view simd_level = {});

}  // namespace penstock
