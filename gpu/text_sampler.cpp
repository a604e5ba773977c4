#include "gpu/text_sampler.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

namespace penstock::gpu {

std::string to_json(const TextSample& sample) {
  const nlohmann::ordered_json json = {{"step", sample.step},
                                       {"prompt", sample.prompt},
                                       {"predicted", sample.predicted},
                                       {"reference", sample.reference}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

namespace {

TokenText prompt_of(const TokenText& document) {
  return {document.begin(), document.begin() + kSamplePromptTokens};
}

}  // namespace

std::vector<TokenText> sampled_documents(const std::vector<std::shared_ptr<const Batch>>& batches) {
  constexpr std::int64_t kTokens = kSamplePromptTokens + kSampleTokens;
  std::vector<TokenText> documents;
  std::set<TokenText> prompts;
  for (const auto& batch : batches) {
    for (const Segment& segment : batch->segments) {
      if (documents.size() == kMaxSampledDocuments) {
        return documents;
      }
      if (segment.document_token == 0 && segment.end - segment.begin >= kTokens) {
        const auto begin = batch->tokens.begin() + segment.begin;
        TokenText document(begin, begin + kTokens);
        if (prompts.insert(prompt_of(document)).second) {
          documents.push_back(std::move(document));
        }
      }
    }
  }
  return documents;
}

TextSampler::TextSampler(std::unique_ptr<Generator> generator,
                         std::vector<TokenText> documents,
                         std::shared_ptr<const TokenDecoder> decoder,
                         std::function<void(const TextSample&)> on_sample)
    : generator_(std::move(generator)),
      documents_(std::move(documents)),
      decoder_(std::move(decoder)),
      on_sample_(std::move(on_sample)) {
  for (const TokenText& document : documents_) {
    prompts_.push_back(prompt_of(document));
  }
}

void TextSampler::enqueue(std::int64_t step, DeviceStream stream) {
  generator_->enqueue(prompts_, kSampleTokens, stream);
  steps_.push_back(step);
}

void TextSampler::pass_on() {
  while (const std::optional<std::vector<TokenText>> predicted = generator_->next()) {
    for (std::size_t i = 0; i < prompts_.size(); ++i) {
      const TokenText reference(documents_[i].begin() + kSamplePromptTokens, documents_[i].end());
      on_sample_({steps_.front(),
                  decoder_->decode(prompts_[i]),
                  text_behind(prompts_[i], (*predicted)[i]),
                  text_behind(prompts_[i], reference)});
    }
    steps_.pop_front();
  }
}

// Decoded behind the prompt: a text's first token loses the space that it begins with.
std::string TextSampler::text_behind(const TokenText& prompt, const TokenText& tokens) const {
  TokenText whole = prompt;
  whole.insert(whole.end(), tokens.begin(), tokens.end());
  const std::string text = decoder_->decode(whole);
  const std::string begin = decoder_->decode(prompt);
  return text.starts_with(begin) ? text.substr(begin.size()) : decoder_->decode(tokens);
}

void TextSampler::finish() {
  generator_->wait();
  pass_on();
}

}  // namespace penstock::gpu
