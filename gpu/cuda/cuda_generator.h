#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "gpu/cuda/blas_lt.h"
#include "gpu/cuda/generator_kernels.h"
#include "gpu/cuda/handles.h"
#include "gpu/cuda/lm_score_kernels.h"
#include "gpu/cuda/readback.h"
#include "gpu/cuda/transformer_kernels.h"
#include "gpu/generator.h"
#include "gpu/transformer.h"

namespace penstock::gpu {

// Generates on a CUDA device. Everything is allocated and recorded by the constructor. A call
// copies the prompts to the device, launches a graph for each position, which samples, appends and
// goes on by itself, and copies the texts back, once.
class CudaGenerator final : public Generator {
 public:
  // `parameters`, in a layout for a row_step of kDeviceRowStep, outlive this and may change
  // between calls. Heads have kAttentionHeadWidth elements.
  CudaGenerator(const TransformerShape& shape,
                const DeviceParameters& parameters,
                const GeneratorOptions& options);

  void enqueue(const std::vector<TokenText>& prompts,
               std::int64_t num_tokens,
               DeviceStream stream) override;
  std::optional<std::vector<TokenText>> next() override;
  void wait() override { texts_.wait(); }

 private:
  // Where the tokens of the continuations stand.
  struct Sent {
    std::vector<std::int64_t> prompt_lengths;
    std::int64_t num_tokens = 0;
  };
  struct Linear {
    std::int64_t weight = 0;  // offset of [inputs, outputs]
    std::int64_t bias = 0;
    std::int64_t inputs = 0;
    std::int64_t outputs = 0;
  };

  void warm_up(const Stream& stream);
  void copy_prompts(const std::vector<TokenText>& prompts, cudaStream_t stream);
  void enqueue_position(bool samples, cudaStream_t stream);
  void enqueue_layer(std::size_t layer, cudaStream_t stream);
  void enqueue_samples(cudaStream_t stream);
  // output = input * weight + bias + addend
  void multiply(const Linear& linear,
                const Bf16* input,
                const Bf16* addend,
                Bf16* output,
                cudaStream_t stream);
  void normalise(std::int64_t weight, std::int64_t bias, cudaStream_t stream);
  DeviceTexts device_texts() const;
  LmPositions positions() const;
  LmFound* found() const;

  const TransformerShape shape_;
  const TransformerLayout layout_;
  const DeviceParameters parameters_;
  const GeneratorOptions options_;
  const std::int64_t count_;  // of texts, always

  PinnedBuffer prompts_;  // their lengths, then their tokens
  Event prompts_copied_;
  DeviceArray<std::int32_t> prompt_lengths_;
  DeviceArray<std::byte> found_;  // LmFound, then the tokens [texts, max_length]
  DeviceArray<GenerationPlace> place_;
  Readback texts_;
  std::deque<Sent> sent_;  // of which no texts have come back

  // Of one position of every text; see HostGenerator.
  DeviceArray<Bf16> cache_;  // [layers, texts, max_length, 2 * width]
  DeviceArray<Bf16> residual_;
  DeviceArray<Bf16> normed_;
  DeviceArray<float> mean_;
  DeviceArray<float> inverse_deviation_;
  DeviceArray<Bf16> projected_;
  DeviceArray<Bf16> attended_;
  DeviceArray<Bf16> up_;
  DeviceArray<Bf16> active_;
  DeviceArray<float> logits_;  // [texts, vocabulary_rows]
  // See LmPositions.
  DeviceArray<LmPlace> places_;
  DeviceArray<float> losses_;
  DeviceArray<float> highest_logits_;
  DeviceArray<TokenId> highest_ids_;
  DeviceArray<TokenId> samples_;

  BlasLt blas_;
  std::unique_ptr<Graph> known_graph_;    // a position whose next token is known of every text
  std::unique_ptr<Graph> sampled_graph_;  // any other
};

}  // namespace penstock::gpu
