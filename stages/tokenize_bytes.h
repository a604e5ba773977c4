#pragma once

#include "pipeline/chunk.h"
#include "pipeline/stage.h"
#include "pipeline/stage_registry.h"

namespace penstock {

// Makes a token of each byte of a text. A document without bytes stays without tokens.
class TokenizeBytes final : public Transform<DocumentChunk, TokenChunk> {
 public:
  static constexpr TokenId kEosId = 256;

  explicit TokenizeBytes(bool add_eos) : add_eos_(add_eos) {}

  TokenChunk process(DocumentChunk chunk) override;

 private:
  const bool add_eos_;
};

// Registers `tokenize_bytes`.
void register_tokenize_bytes(StageRegistry& registry);

}  // namespace penstock
