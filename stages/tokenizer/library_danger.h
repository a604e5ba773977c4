#pragma once

#include <string>

#include "stages/tokenizer/sentencepiece_model.h"

namespace penstock {

// Why the SentencePiece library would read or write outside of its memory with this model, which it
// does not look at; empty where it would not.
std::string library_danger(const SentencePieceModel& model);

}  // namespace penstock
