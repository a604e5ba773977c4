#include "stages/tokenizer/fast_engine.h"

#include <utility>

#include "stages/tokenizer/bpe_engine.h"

namespace penstock {

FastEngineResult make_fast_engine(const SentencePieceModel& model, std::string_view simd_level) {
  if (model.type != SentencePieceType::kBpe) {
    return {nullptr, "there is no fast engine for " + to_string(model.type) + " models"};
  }
  if (std::string reason = BpeEngine::refusal(model); !reason.empty()) {
    return {nullptr, std::move(reason)};
  }
  return {std::make_unique<BpeEngine>(model, simd_level), {}};
}

}  // namespace penstock
