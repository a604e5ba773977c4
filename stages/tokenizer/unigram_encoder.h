#pragma once

#include <cstddef>
#include <memory>

#include "stages/tokenizer/tokenizer.h"
#include "stages/tokenizer/unigram_engine.h"

namespace penstock {

// For use by one thread; the engine outlives it. See FastEngine::make_encoder.
std::unique_ptr<Encoder> make_unigram_encoder(const UnigramEngine& engine,
                                              std::unique_ptr<Encoder> library,
                                              std::size_t cache_bytes);

}  // namespace penstock
