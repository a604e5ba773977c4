#pragma once

#include <cstddef>
#include <memory>

#include "stages/tokenizer/bpe_engine.h"
#include "stages/tokenizer/tokenizer.h"

namespace penstock {

// What one thread encodes with: the engine's shared tables and its own table of words. The engine
// outlives it.
std::unique_ptr<Encoder> make_bpe_encoder(const BpeEngine& engine,
                                          std::unique_ptr<Encoder> library,
                                          std::size_t cache_bytes);

}  // namespace penstock
