#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

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

  // `long_documents` is what all instances of a run share, to encode long documents one at a time.
  Tokenize(std::shared_ptr<const Tokenizer> tokenizer,
           Options options,
           std::shared_ptr<std::mutex> long_documents);

  TokenChunk process(DocumentChunk chunk) override;

 private:
  void append(const Document& document, TokenChunk& tokens) const;
  void encode(std::string_view text, std::vector<TokenId>& ids) const;

  const std::shared_ptr<const Tokenizer> tokenizer_;
  const Options options_;
  const std::shared_ptr<std::mutex> long_documents_;
};

// Registers `tokenize`.
void register_tokenize(StageRegistry& registry);

}  // namespace penstock
