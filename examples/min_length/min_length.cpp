#include "min_length.h"

namespace {

// Drops documents of fewer than `min_bytes` bytes.
class MinLength final
    : public penstock::Transform<penstock::DocumentChunk, penstock::DocumentChunk> {
 public:
  explicit MinLength(const penstock::StageConfig& config)
      : min_bytes_(config.integer("min_bytes")) {}

  penstock::DocumentChunk process(penstock::DocumentChunk chunk) override {
    std::erase_if(chunk.documents, [this](const penstock::Document& document) {
      return std::ssize(document.text) < min_bytes_;
    });
    return chunk;
  }

 private:
  const std::int64_t min_bytes_;
};

}  // namespace

void register_min_length(penstock::StageRegistry& registry) {
  registry.add_transform<MinLength>(
      "min_length",
      "Drops short documents.",
      {penstock::Option::bytes("min_bytes", "A document's least length.")
           .at_least(0)
           .or_else(std::int64_t{100})});
}
