#include "stages/tokenizer/fast_engine.h"

#include <memory>
#include <stdexcept>
#include <string>

#include "stages/tokenizer/bpe_engine.h"
#include "stages/tokenizer/model_refused.h"
#include "stages/tokenizer/unigram_engine.h"

namespace penstock {
namespace {

template <typename Engine>
FastEngineResult make_engine(const SentencePieceModel& model, std::string_view simd_level) {
  try {
    return {std::make_unique<Engine>(model, simd_level), {}};
  } catch (const ModelRefused& refusal) {
    return {nullptr, refusal.what()};
  } catch (const std::length_error& error) {
    return {nullptr, std::string("it is too large: ") + error.what()};
  }
}

}  // namespace

FastEngineResult make_fast_engine(const SentencePieceModel& model, std::string_view simd_level) {
  if (!model.oddity.empty()) {
    return {nullptr, model.oddity};
  }
  switch (model.type) {
    case SentencePieceType::kBpe:
      return make_engine<BpeEngine>(model, simd_level);
    case SentencePieceType::kUnigram:
      return make_engine<UnigramEngine>(model, simd_level);
    case SentencePieceType::kWord:
    case SentencePieceType::kChar:
      break;
  }
  return {nullptr, "there is no fast engine for " + to_string(model.type) + " models"};
}

}  // namespace penstock
