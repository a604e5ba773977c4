#include "stages/tokenizer/fast_engine.h"

namespace penstock {

FastEngineResult make_fast_engine(const SentencePieceModel& model) {
  switch (model.type) {
    case SentencePieceType::kBpe:
    case SentencePieceType::kUnigram:
    case SentencePieceType::kWord:
    case SentencePieceType::kChar:
      break;
  }
  return {nullptr, "there is no fast engine for " + to_string(model.type) + " models"};
}

}  // namespace penstock
