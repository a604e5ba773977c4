#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "stages/tokenizer/sentencepiece_model.h"

namespace penstock::testing {

// Texts that are hard on an engine for this model, the same ones at every call: runs of spaces,
// U+2581 itself, control and zero bytes, special pieces, user-defined symbols and beginnings of
// them, emoji, scripts that the model does not know, combining marks, words of 3,000 characters.
std::vector<std::string> hard_texts(const SentencePieceModel& model, std::size_t count);

// Some documents of the sample shards.
std::vector<std::string> sample_documents(std::size_t count);

}  // namespace penstock::testing
