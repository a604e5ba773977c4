#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/generator.h"
#include "pipeline/batch.h"
#include "pipeline/stage_registry.h"

namespace penstock::gpu {

// The beginning of a document that the model was not trained on, what the model says behind it,
// and what stands there.
struct TextSample {
  std::int64_t step = 0;  // after which the model said it
  std::string prompt;
  std::string predicted;
  std::string reference;
};

// {"step": 100, "prompt": "...", "predicted": "...", "reference": "..."}; what is no UTF-8 is
// replaced.
std::string to_json(const TextSample& sample);

inline constexpr std::int64_t kSamplePromptTokens = 10;
inline constexpr std::int64_t kSampleTokens = 40;  // behind the prompt
inline constexpr std::size_t kMaxSampledDocuments = 4;

// The first tokens, as many as a prompt and what stands behind it have, of the first documents of
// the batches that begin there and have so many in a row. Of those with the same prompt, as pages
// of one site may have it, the first alone: the model would say the same behind each.
std::vector<TokenText> sampled_documents(const std::vector<std::shared_ptr<const Batch>>& batches);

// Has a model that is being trained continue the beginnings of documents. Used by the device
// thread alone.
class TextSampler {
 public:
  // `documents` are of sampled_documents(). `on_sample` gets the samples in order, those of a step
  // in the order of the documents.
  TextSampler(std::unique_ptr<Generator> generator,
              std::vector<TokenText> documents,
              std::shared_ptr<const TokenDecoder> decoder,
              std::function<void(const TextSample&)> on_sample);

  // Enqueues the samples after a step. Never waits for the device.
  void enqueue(std::int64_t step, DeviceStream stream);
  // Passes on those that have arrived. Never waits.
  void pass_on();
  // Waits for all, and passes them on.
  void finish();

 private:
  std::string text_behind(const TokenText& prompt, const TokenText& tokens) const;

  const std::unique_ptr<Generator> generator_;
  const std::vector<TokenText> documents_;
  const std::shared_ptr<const TokenDecoder> decoder_;
  const std::function<void(const TextSample&)> on_sample_;
  std::vector<TokenText> prompts_;
  std::deque<std::int64_t> steps_;  // of which no samples have come back
};

}  // namespace penstock::gpu
