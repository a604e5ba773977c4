#pragma once

#include <memory>

#include "stages/tokenizer/fast_engine.h"

namespace penstock {

// The fast engine for a Unigram model. Throws std::runtime_error with the reason for a model of
// which what it relies on cannot be proved.
std::unique_ptr<const FastEngine> make_unigram_engine(const SentencePieceModel& model);

}  // namespace penstock
