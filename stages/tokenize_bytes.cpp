#include "stages/tokenize_bytes.h"

#include <cstddef>
#include <iterator>
#include <memory>
#include <string>

namespace penstock {
namespace {

class ByteDecoder final : public TokenDecoder {
 public:
  std::string decode(const std::vector<TokenId>& ids) const override {
    std::string text;
    for (const TokenId id : ids) {
      if (id < TokenizeBytes::kEosId) {
        text += static_cast<char>(id);
      }
    }
    return text;
  }
};

InstanceFactory make_factory(const StageConfig& config, const BuildContext& context) {
  context.stream.vocabulary_size = TokenizeBytes::kEosId + 1;
  context.stream.eos_id = TokenizeBytes::kEosId;
  context.stream.pad_id = TokenizeBytes::kEosId;
  context.stream.decoder = std::make_shared<const ByteDecoder>();
  return [add_eos = config.boolean("add_eos")] { return std::make_unique<TokenizeBytes>(add_eos); };
}

}  // namespace

TokenChunk TokenizeBytes::process(DocumentChunk chunk) {
  auto tokens = continue_chunk<TokenChunk>(chunk);
  std::size_t size = 0;
  for (const Document& document : chunk.documents) {
    size += document.text.size() + 1;
  }
  tokens.ids.reserve(size);
  tokens.documents.reserve(chunk.documents.size());
  for (const Document& document : chunk.documents) {
    for (const char byte : document.text) {
      tokens.ids.push_back(static_cast<unsigned char>(byte));
    }
    if (add_eos_ && !document.text.empty()) {
      tokens.ids.push_back(kEosId);
    }
    tokens.documents.push_back({std::ssize(tokens.ids), document.record, document.byte_offset});
  }
  release(chunk, tokens.spare);
  return tokens;
}

void register_tokenize_bytes(StageRegistry& registry) {
  registry.add({"tokenize_bytes",
                "Turns documents into token ids of their bytes, 0 to 255, for models that read "
                "bytes, and to try a pipeline without a tokenizer model.",
                Payload::kDocuments,
                Payload::kTokens,
                Ordering::kParallel,
                {Option::boolean("add_eos", "Whether the id 256 goes behind every document.")
                     .or_else(false)},
                StageFactory(make_factory)});
}

}  // namespace penstock
