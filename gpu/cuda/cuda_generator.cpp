#include "gpu/cuda/cuda_generator.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "gpu/cuda/attention_kernels.h"
#include "gpu/cuda/check.h"
#include "gpu/cuda/cuda_transformer.h"

namespace penstock::gpu {
namespace {

constexpr const char* kContent = "the generation of text";
constexpr const char* kOption = "the number of prompts or of tokens";
constexpr std::size_t kMaxOnTheirWay = 4;

template <typename T>
void copy(const std::vector<T>& from, const DeviceArray<T>& to, const Stream& stream) {
  check(cudaMemcpyAsync(
            to.get(), from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, stream.get()),
        "cudaMemcpyAsync");
}

template <typename T>
DeviceArray<T> make_array(std::int64_t size) {
  return DeviceArray<T>(size, kContent, kOption);
}

// The weights of a model, for a generator of its own.
class OwningCudaGenerator final : public Generator {
 public:
  OwningCudaGenerator(const TransformerWeights& weights, const GeneratorOptions& options)
      : layout_(transformer_layout(weights.shape, kDeviceRowStep)),
        parameters_(layout_.size, "the weights", "the size of the model"),
        rounded_(layout_.size, "the weights", "the size of the model") {
    const Stream stream;
    copy(in_layout(weights.parameters, transformer_layout(weights.shape, 1), layout_),
         parameters_,
         stream);
    round_to_bf16(parameters_.get(), layout_.size, rounded_.get(), stream.get());
    stream.synchronize();
    generator_ =
        std::make_unique<CudaGenerator>(weights.shape,
                                        DeviceParameters{.count = layout_.size,
                                                         .num_decaying = layout_.num_decaying,
                                                         .parameters = parameters_.get(),
                                                         .rounded = rounded_.get()},
                                        options);
  }

  void enqueue(const std::vector<TokenText>& prompts,
               std::int64_t num_tokens,
               DeviceStream stream) override {
    generator_->enqueue(prompts, num_tokens, stream);
  }
  std::optional<std::vector<TokenText>> next() override { return generator_->next(); }
  void wait() override { generator_->wait(); }

 private:
  const TransformerLayout layout_;
  const DeviceArray<float> parameters_;
  const DeviceArray<Bf16> rounded_;
  std::unique_ptr<CudaGenerator> generator_;
};

}  // namespace

std::unique_ptr<Generator> make_cuda_generator(const TransformerWeights& weights,
                                               const GeneratorOptions& options) {
  const TransformerShape& shape = weights.shape;
  if (shape.head_width() != kAttentionHeadWidth || shape.width > kMaxDeviceWidth) {
    throw std::runtime_error(
        "a model of width " + std::to_string(shape.width) + " with " + std::to_string(shape.heads) +
        " heads cannot be computed on CUDA, which takes heads of " +
        std::to_string(kAttentionHeadWidth) + " elements and a width of at most " +
        std::to_string(kMaxDeviceWidth) + "; the CPU takes any");
  }
  return std::make_unique<OwningCudaGenerator>(weights, options);
}

CudaGenerator::CudaGenerator(const TransformerShape& shape,
                             const DeviceParameters& parameters,
                             const GeneratorOptions& options)
    : shape_(shape),
      layout_(transformer_layout(shape, kDeviceRowStep)),
      parameters_(parameters),
      options_(options),
      count_(options.max_prompts),
      prompts_(static_cast<std::size_t>(count_ * (1 + options.max_length)) * sizeof(TokenId),
               kContent),
      prompt_lengths_(make_array<std::int32_t>(count_)),
      found_(make_array<std::byte>(static_cast<std::int64_t>(sizeof(LmFound)) +
                                   count_ * options.max_length *
                                       static_cast<std::int64_t>(sizeof(TokenId)))),
      place_(make_array<GenerationPlace>(1)),
      texts_(found_.bytes(), kMaxOnTheirWay, kContent),
      cache_(make_array<Bf16>(shape.layers * count_ * options.max_length * 2 * shape.width)),
      residual_(make_array<Bf16>(count_ * shape.width)),
      normed_(make_array<Bf16>(count_ * shape.width)),
      mean_(make_array<float>(count_)),
      inverse_deviation_(make_array<float>(count_)),
      projected_(make_array<Bf16>(count_ * 3 * shape.width)),
      attended_(make_array<Bf16>(count_ * shape.width)),
      up_(make_array<Bf16>(count_ * 4 * shape.width)),
      active_(make_array<Bf16>(count_ * 4 * shape.width)),
      logits_(make_array<float>(count_ * layout_.vocabulary_rows)),
      places_(make_array<LmPlace>(count_)),
      losses_(make_array<float>(count_)),
      highest_logits_(make_array<float>(count_)),
      highest_ids_(make_array<TokenId>(count_)),
      samples_(make_array<TokenId>(count_)) {
  const Stream stream;
  copy(std::vector<LmPlace>(static_cast<std::size_t>(count_), LmPlace{0, kLmNoTarget}),
       places_,
       stream);
  warm_up(stream);
  known_graph_ = std::make_unique<Graph>(
      stream, [this](cudaStream_t capturing) { enqueue_position(false, capturing); });
  sampled_graph_ = std::make_unique<Graph>(
      stream, [this](cudaStream_t capturing) { enqueue_position(true, capturing); });
  stream.synchronize();
}

// Runs every kernel once.
void CudaGenerator::warm_up(const Stream& stream) {
  copy_prompts({{0}}, stream.get());
  enqueue_position(true, stream.get());
  stream.synchronize();
}

void CudaGenerator::enqueue(const std::vector<TokenText>& prompts,
                            std::int64_t num_tokens,
                            DeviceStream stream) {
  check_prompts(prompts, num_tokens, options_);
  auto* const cuda_stream = static_cast<cudaStream_t>(stream.handle);
  Sent sent{{}, num_tokens};
  for (const TokenText& prompt : prompts) {
    sent.prompt_lengths.push_back(std::ssize(prompt));
  }
  const auto [shortest, longest] =
      std::minmax_element(sent.prompt_lengths.begin(), sent.prompt_lengths.end());
  const std::int64_t end = *longest + num_tokens - 1;
  copy_prompts(prompts, cuda_stream);
  for (std::int64_t position = 0; position < end; ++position) {
    (position + 1 < *shortest ? known_graph_ : sampled_graph_)->launch(cuda_stream);
  }
  texts_.enqueue(found_.get(), found_.bytes(), cuda_stream);
  sent_.push_back(std::move(sent));
}

std::optional<std::vector<TokenText>> CudaGenerator::next() {
  const std::optional<std::vector<std::byte>> bytes = texts_.next();
  if (!bytes) {
    return std::nullopt;
  }
  const Sent sent = std::move(sent_.front());
  sent_.pop_front();
  LmFound found;
  std::memcpy(&found, bytes->data(), sizeof found);
  if (found.num_not_finite > 0) {
    throw logits_not_finite();
  }
  std::vector<TokenText> texts;
  for (std::size_t i = 0; i < sent.prompt_lengths.size(); ++i) {
    const auto first = static_cast<std::int64_t>(i) * options_.max_length + sent.prompt_lengths[i];
    TokenText text(static_cast<std::size_t>(sent.num_tokens));
    std::memcpy(text.data(),
                bytes->data() + sizeof found + static_cast<std::size_t>(first) * sizeof(TokenId),
                text.size() * sizeof(TokenId));
    texts.push_back(std::move(text));
  }
  return texts;
}

// Where there are fewer prompts than texts, the others are so long that they are never continued.
void CudaGenerator::copy_prompts(const std::vector<TokenText>& prompts, cudaStream_t stream) {
  if (!prompts_copied_.done()) {
    prompts_copied_.synchronize();
  }
  auto* const lengths = reinterpret_cast<std::int32_t*>(prompts_.data());
  auto* const tokens = reinterpret_cast<TokenId*>(lengths + count_);
  std::fill_n(lengths, count_, static_cast<std::int32_t>(options_.max_length));
  std::fill_n(tokens, count_ * options_.max_length, TokenId{0});
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    lengths[i] = static_cast<std::int32_t>(prompts[i].size());
    std::copy(prompts[i].begin(),
              prompts[i].end(),
              tokens + static_cast<std::int64_t>(i) * options_.max_length);
  }
  const auto enqueue_copy = [&](void* to, const void* from, std::size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
  };
  enqueue_copy(prompt_lengths_.get(), lengths, prompt_lengths_.bytes());
  enqueue_copy(found_.get() + sizeof(LmFound), tokens, found_.bytes() - sizeof(LmFound));
  prompts_copied_.record(stream);
  check(cudaMemsetAsync(found_.get(), 0, sizeof(LmFound), stream), "cudaMemsetAsync");
  check(cudaMemsetAsync(place_.get(), 0, place_.bytes(), stream), "cudaMemsetAsync");
}

void CudaGenerator::enqueue_position(bool samples, cudaStream_t stream) {
  embed_position(device_texts(),
                 shape_.width,
                 parameters_.parameters + layout_.token_embedding,
                 parameters_.parameters + layout_.position_embedding,
                 residual_.get(),
                 stream);
  for (std::size_t layer = 0; layer < layout_.layers.size(); ++layer) {
    enqueue_layer(layer, stream);
  }
  if (samples) {
    enqueue_samples(stream);
  }
  append_samples(device_texts(), samples ? samples_.get() : nullptr, stream);
}

void CudaGenerator::enqueue_layer(std::size_t layer, cudaStream_t stream) {
  const std::int64_t width = shape_.width;
  const TransformerLayer& place = layout_.layers[layer];
  normalise(place.norm_1_weight, place.norm_1_bias, stream);
  multiply({place.attention_weight, place.attention_bias, width, 3 * width},
           normed_.get(),
           nullptr,
           projected_.get(),
           stream);
  const std::int64_t of_a_layer = count_ * options_.max_length * 2 * width;
  attend_to_cache(device_texts(),
                  {shape_.heads,
                   projected_.get(),
                   cache_.get() + static_cast<std::int64_t>(layer) * of_a_layer,
                   attended_.get()},
                  stream);
  multiply({place.projection_weight, place.projection_bias, width, width},
           attended_.get(),
           residual_.get(),
           residual_.get(),
           stream);
  normalise(place.norm_2_weight, place.norm_2_bias, stream);
  multiply({place.up_weight, place.up_bias, width, 4 * width},
           normed_.get(),
           nullptr,
           up_.get(),
           stream);
  gelu(up_.get(), count_ * 4 * width, active_.get(), stream);
  multiply({place.down_weight, place.down_bias, 4 * width, width},
           active_.get(),
           residual_.get(),
           residual_.get(),
           stream);
}

void CudaGenerator::enqueue_samples(cudaStream_t stream) {
  normalise(layout_.final_norm_weight, layout_.final_norm_bias, stream);
  begin_logits(logits_.get(), count_, options_.vocabulary, layout_.vocabulary_rows, stream);
  blas_.multiply({.rows = count_,
                  .columns = layout_.vocabulary_rows,
                  .depth = shape_.width,
                  .left = {normed_.get(), shape_.width},
                  .right = {parameters_.rounded + layout_.token_embedding, shape_.width, true},
                  .sum = logits_.get()},
                 stream);
  const LmLogits logits = {logits_.get(), layout_.vocabulary_rows};
  score_logits(logits, positions(), {0, count_}, found(), stream);
  if (options_.sampling.temperature > 0) {
    LmSampling sampling = lm_sampling(options_.sampling, options_.vocabulary);
    sampling.offset = &place_.get()->offset;
    sample_logits(logits, positions(), sampling, 0, {0, count_}, stream);
  }
}

void CudaGenerator::multiply(const Linear& linear,
                             const Bf16* input,
                             const Bf16* addend,
                             Bf16* output,
                             cudaStream_t stream) {
  blas_.multiply({.rows = count_,
                  .columns = linear.outputs,
                  .depth = linear.inputs,
                  .left = {input, linear.inputs},
                  .right = {parameters_.rounded + linear.weight, linear.outputs},
                  .output = output,
                  .addend = addend,
                  .bias = parameters_.rounded + linear.bias},
                 stream);
}

void CudaGenerator::normalise(std::int64_t weight, std::int64_t bias, cudaStream_t stream) {
  layer_norm({count_,
              shape_.width,
              residual_.get(),
              parameters_.parameters + weight,
              parameters_.parameters + bias,
              mean_.get(),
              inverse_deviation_.get()},
             normed_.get(),
             stream);
}

DeviceTexts CudaGenerator::device_texts() const {
  return {count_,
          options_.max_length,
          reinterpret_cast<TokenId*>(found_.get() + sizeof(LmFound)),
          prompt_lengths_.get(),
          place_.get()};
}

LmPositions CudaGenerator::positions() const {
  return {places_.get(),
          nullptr,
          losses_.get(),
          highest_logits_.get(),
          highest_ids_.get(),
          samples_.get()};
}

LmFound* CudaGenerator::found() const {
  return reinterpret_cast<LmFound*>(found_.get());
}

}  // namespace penstock::gpu
