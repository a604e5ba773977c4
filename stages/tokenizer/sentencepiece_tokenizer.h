#pragma once

#include <memory>
#include <string>

#include "stages/tokenizer/tokenizer.h"

namespace penstock {

// Loads a SentencePiece model (of any type: unigram, BPE, word, char) for the SentencePiece library
// to encode with. Throws std::runtime_error with path and reason.
std::shared_ptr<const Tokenizer> load_sentencepiece(const std::string& path);

}  // namespace penstock
