#include "stages/tokenizer/unigram_engine.h"

#include <utility>

#include "stages/tokenizer/unigram_encoder.h"

namespace penstock {
namespace {

class UnigramEngine final : public FastEngine {
 public:
  explicit UnigramEngine(const SentencePieceModel& model) : vocabulary_(model) {}

  std::unique_ptr<Encoder> make_encoder(std::unique_ptr<Encoder> library,
                                        std::size_t cache_bytes) const override {
    return std::make_unique<UnigramEncoder>(vocabulary_, std::move(library), cache_bytes);
  }
  std::string summary() const override { return "Unigram, proved cuts between characters"; }
  std::string report() const override { return vocabulary_.proof.report(); }

 private:
  const UnigramVocabulary vocabulary_;
};

}  // namespace

std::unique_ptr<const FastEngine> make_unigram_engine(const SentencePieceModel& model) {
  return std::make_unique<UnigramEngine>(model);
}

}  // namespace penstock
