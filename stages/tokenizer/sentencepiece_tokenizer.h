#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "stages/tokenizer/tokenizer.h"

namespace penstock {

enum class EngineChoice {
  kAuto,     // the fast engine where the model is proved safe for it, else the library
  kFast,     // the fast engine or EngineRefused
  kLibrary,  // the SentencePiece library
};

struct SentencePieceOptions {
  EngineChoice engine = EngineChoice::kAuto;
  std::size_t cache_bytes = std::size_t{16} << 20;  // of each encoder of the fast engine
};

// The fast engine was asked for, but cannot be proved to give the library's ids with this model;
// what() says why.
class EngineRefused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Loads a SentencePiece model of any type: unigram, BPE, word, char. Throws std::runtime_error with
// path and reason.
std::shared_ptr<const Tokenizer> load_sentencepiece(const std::string& path,
                                                    SentencePieceOptions options);

}  // namespace penstock
