#include "stages/tokenizer/fast_engine.h"

#include <stdexcept>

#include "stages/tokenizer/unigram_engine.h"

namespace penstock {

FastEngineResult make_fast_engine(const SentencePieceModel& model) {
  switch (model.type) {
    case SentencePieceType::kUnigram:
      try {
        return {make_unigram_engine(model), ""};
      } catch (const std::runtime_error& refusal) {
        return {nullptr, refusal.what()};
      }
    case SentencePieceType::kBpe:
    case SentencePieceType::kWord:
    case SentencePieceType::kChar:
      break;
  }
  return {nullptr, "there is no fast engine for " + to_string(model.type) + " models"};
}

}  // namespace penstock
