#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include "gpu/device_stage.h"
#include "gpu/lm_score.h"
#include "gpu/transformer_weights.h"

namespace penstock::gpu {

// What a generator is made for.
struct GeneratorOptions {
  std::int64_t max_prompts = 1;
  std::int64_t max_length = 0;  // tokens of a prompt and its continuation, at most the model's
  std::int64_t vocabulary = 0;  // ids that are generated, the first ones of the model's
  TokenSampling sampling;
};
// See GeneratorOptions::max_prompts.
inline constexpr std::int64_t kMaxPrompts = 65'536;

// The tokens of a text.
using TokenText = std::vector<TokenId>;

// Continues texts with a transformer, all at once and token by token, with a cache of the keys and
// values of every layer. The token behind position t of text number r is the one that lm_score
// samples of the position's logits (see gpu/lm_score.h), with
//
//   random = philox(seed, t * kMaxPrompts + r, kLmSampleStream)
//
// so that a text does not depend on how many others there are. Used by the device thread alone.
class Generator {
 public:
  Generator() = default;
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  virtual ~Generator() = default;

  // Enqueues the whole of it: `num_tokens` tokens behind each prompt, of the parameters as the work
  // enqueued before leaves them. Nothing waits for the device, unless earlier prompts have not even
  // been copied to it. Throws std::invalid_argument where the prompts are not what the generator
  // was made for.
  virtual void enqueue(const std::vector<TokenText>& prompts,
                       std::int64_t num_tokens,
                       DeviceStream stream) = 0;
  // The oldest continuations, without their prompts, that have arrived and were not taken yet.
  // Never waits. Throws std::runtime_error where logits are not finite.
  virtual std::optional<std::vector<TokenText>> next() = 0;
  // Waits until all have arrived.
  virtual void wait() = 0;
};

// Generators that own their weights. The first one is for the host, with so many threads; the other
// one for the device that is current, and throws std::runtime_error where it cannot compute such a
// model.
std::unique_ptr<Generator> make_host_generator(TransformerWeights weights,
                                               const GeneratorOptions& options,
                                               int threads);
std::unique_ptr<Generator> make_cuda_generator(const TransformerWeights& weights,
                                               const GeneratorOptions& options);

// Throws std::invalid_argument saying which prompt is wrong, and why.
void check_prompts(const std::vector<TokenText>& prompts,
                   std::int64_t num_tokens,
                   const GeneratorOptions& options);

// What next() throws.
std::runtime_error logits_not_finite();

}  // namespace penstock::gpu
