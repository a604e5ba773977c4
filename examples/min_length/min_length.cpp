#include "pipeline/plugin.h"

using penstock::DocumentChunk;

struct MinLength final : penstock::Transform<DocumentChunk, DocumentChunk> {
  explicit MinLength(const penstock::StageConfig& config) : least(config.integer("least")) {}

  DocumentChunk process(DocumentChunk chunk) override {
    const auto is_short = [this](const penstock::Document& document) {
      return std::ssize(document.text) < least;
    };
    std::erase_if(chunk.documents, is_short);
    return chunk;
  }

  const std::int64_t least;
};

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add_transform<MinLength>("min_length",
                                    "Drops short documents.",
                                    {penstock::Option::bytes("least", "Length.").or_else(100)});
}
