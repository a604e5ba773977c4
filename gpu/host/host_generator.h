#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "gpu/generator.h"
#include "gpu/host/parallel_blocks.h"
#include "gpu/transformer.h"

namespace penstock::gpu {

// Generates on the host. Everything is done when enqueue() returns.
class HostGenerator final : public Generator {
 public:
  // `parameters`, in the layout for a row_step of 1, outlive this and may change between calls.
  HostGenerator(const TransformerShape& shape,
                std::span<const float> parameters,
                const GeneratorOptions& options,
                int threads);

  void enqueue(const std::vector<TokenText>& prompts,
               std::int64_t num_tokens,
               DeviceStream stream) override;
  std::optional<std::vector<TokenText>> next() override;
  void wait() override {}

 private:
  // Keys and values of a layer, one behind the other [texts, max_length, 2 * width].
  using Cache = std::vector<float>;

  // The residual stream behind the last layer, of position t of every text; fills the caches.
  void forward(const std::vector<TokenText>& texts, std::int64_t position);
  void forward_layer(std::size_t layer, std::int64_t position);
  void attend(Cache& cache, std::int64_t position);
  // The logits of the position.
  void predict();
  // Returns false where logits are not finite.
  bool append_token(TokenText& text, std::size_t number, std::int64_t position);
  std::span<const float> parameters_from(std::int64_t offset, std::int64_t size) const;
  void layer_norm_of(std::span<const float> input, std::int64_t weight, std::int64_t bias);
  // output = input * weight + what stands there
  void add_product(std::span<const float> input,
                   std::int64_t weight,
                   std::int64_t inputs,
                   std::int64_t outputs,
                   std::span<float> output) const;

  const TransformerShape shape_;
  const TransformerLayout layout_;
  const std::span<const float> parameters_;
  const GeneratorOptions options_;
  const ParallelBlocks parallel_;

  std::vector<Cache> caches_;
  // Of one position of every text.
  std::vector<float> residual_;   // [texts, width]
  std::vector<float> normed_;     // [texts, width]
  std::vector<float> projected_;  // [texts, 3 * width]
  std::vector<float> attended_;   // [texts, width]
  std::vector<float> up_;         // [texts, 4 * width]
  std::vector<float> active_;     // [texts, 4 * width]
  std::vector<float> logits_;     // [texts, vocabulary]
  std::deque<std::vector<TokenText>> arrived_;
  bool failed_ = false;  // a logit was not finite
};

}  // namespace penstock::gpu
