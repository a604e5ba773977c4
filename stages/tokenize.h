#pragma once

#include <memory>
#include <optional>

#include "pipeline/chunk.h"
#include "pipeline/stage.h"
#include "pipeline/stage_registry.h"
#include "stages/tokenizer/tokenizer.h"

namespace penstock {

// Turns documents into token ids. A document without tokens stays without any, bos and eos
// included.
class Tokenize final : public Transform<DocumentChunk, TokenChunk> {
 public:
  struct Options {
    std::optional<TokenId> bos_id;  // put before every document's tokens
    std::optional<TokenId> eos_id;  // put behind them
  };

  Tokenize(std::shared_ptr<const Tokenizer> tokenizer, Options options);

  TokenChunk process(DocumentChunk chunk) override;

 private:
  void append(const Document& document, TokenChunk& tokens);

  const std::shared_ptr<const Tokenizer> tokenizer_;
  const std::unique_ptr<Encoder> encoder_;
  const Options options_;
};

// Registers `tokenize`.
void register_tokenize(StageRegistry& registry);

}  // namespace penstock
