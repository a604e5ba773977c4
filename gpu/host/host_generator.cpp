#include "gpu/host/host_generator.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>

#include "gpu/host/matrix_product.h"
#include "gpu/host/sample_token.h"
#include "gpu/host/transformer_kernels.h"
#include "gpu/philox.h"

namespace penstock::gpu {
namespace {

class OwningHostGenerator final : public Generator {
 public:
  OwningHostGenerator(TransformerWeights weights, const GeneratorOptions& options, int threads)
      : weights_(std::move(weights)),
        generator_(weights_.shape, weights_.parameters, options, threads) {}

  void enqueue(const std::vector<TokenText>& prompts,
               std::int64_t num_tokens,
               DeviceStream stream) override {
    generator_.enqueue(prompts, num_tokens, stream);
  }
  std::optional<std::vector<TokenText>> next() override { return generator_.next(); }
  void wait() override {}

 private:
  const TransformerWeights weights_;
  HostGenerator generator_;
};

}  // namespace

std::unique_ptr<Generator> make_host_generator(TransformerWeights weights,
                                               const GeneratorOptions& options,
                                               int threads) {
  return std::make_unique<OwningHostGenerator>(std::move(weights), options, threads);
}

HostGenerator::HostGenerator(const TransformerShape& shape,
                             std::span<const float> parameters,
                             const GeneratorOptions& options,
                             int threads)
    : shape_(shape),
      layout_(transformer_layout(shape, 1)),
      parameters_(parameters),
      options_(options),
      parallel_(threads),
      caches_(static_cast<std::size_t>(shape.layers)) {}

void HostGenerator::enqueue(const std::vector<TokenText>& prompts,
                            std::int64_t num_tokens,
                            DeviceStream) {
  check_prompts(prompts, num_tokens, options_);
  const std::size_t size = prompts.size() * static_cast<std::size_t>(shape_.width);
  for (Cache& cache : caches_) {
    cache.resize(size * static_cast<std::size_t>(2 * options_.max_length));
  }
  for (std::vector<float>* array : {&residual_, &normed_, &attended_}) {
    array->resize(size);
  }
  projected_.resize(3 * size);
  up_.resize(4 * size);
  active_.resize(4 * size);
  logits_.resize(prompts.size() * static_cast<std::size_t>(options_.vocabulary));

  const auto [shortest, longest] = std::minmax_element(
      prompts.begin(), prompts.end(), [](const TokenText& left, const TokenText& right) {
        return left.size() < right.size();
      });
  const std::int64_t end = std::ssize(*longest) + num_tokens - 1;
  std::vector<TokenText> texts = prompts;
  for (std::int64_t position = 0; position < end; ++position) {
    forward(texts, position);
    if (position + 1 < std::ssize(*shortest)) {
      continue;  // what comes next is known of every text
    }
    predict();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const bool wants_more = std::ssize(texts[i]) < std::ssize(prompts[i]) + num_tokens;
      if (wants_more && std::ssize(texts[i]) == position + 1) {
        if (!append_token(texts[i], i, position)) {
          failed_ = true;  // next() tells, as on a GPU
          return;
        }
      }
    }
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    texts[i].erase(texts[i].begin(), texts[i].begin() + std::ssize(prompts[i]));
  }
  arrived_.push_back(std::move(texts));
}

std::optional<std::vector<TokenText>> HostGenerator::next() {
  if (arrived_.empty()) {
    if (failed_) {
      throw logits_not_finite();
    }
    return std::nullopt;
  }
  std::vector<TokenText> texts = std::move(arrived_.front());
  arrived_.pop_front();
  return texts;
}

bool HostGenerator::append_token(TokenText& text, std::size_t number, std::int64_t position) {
  const auto vocabulary = static_cast<std::size_t>(options_.vocabulary);
  const auto logits = std::span<const float>(logits_).subspan(number * vocabulary, vocabulary);
  if (!std::all_of(
          logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); })) {
    return false;
  }
  const auto place = static_cast<std::uint64_t>(position * kMaxPrompts) + number;
  text.push_back(sample_token(
      logits, options_.sampling, philox(options_.sampling.seed, place, kLmSampleStream)));
  return true;
}

// A text that is whole goes on with its last token, for nobody.
void HostGenerator::forward(const std::vector<TokenText>& texts, std::int64_t position) {
  const std::int64_t width = shape_.width;
  const auto place = parameters_from(layout_.position_embedding + position * width, width);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const TokenText& text = texts[i];
    const TokenId id = text[std::min(static_cast<std::size_t>(position), text.size() - 1)];
    const auto token = parameters_from(layout_.token_embedding + std::int64_t{id} * width, width);
    std::transform(token.begin(),
                   token.end(),
                   place.begin(),
                   residual_.begin() + static_cast<std::int64_t>(i) * width,
                   std::plus<>());
  }
  for (std::size_t layer = 0; layer < caches_.size(); ++layer) {
    forward_layer(layer, position);
  }
}

void HostGenerator::forward_layer(std::size_t layer, std::int64_t position) {
  const std::int64_t width = shape_.width;
  const TransformerLayer& place = layout_.layers[layer];
  layer_norm_of(residual_, place.norm_1_weight, place.norm_1_bias);
  fill_rows(parallel_, parameters_from(place.attention_bias, 3 * width), projected_);
  add_product(normed_, place.attention_weight, width, 3 * width, projected_);
  attend(caches_[layer], position);
  fill_rows(parallel_, parameters_from(place.projection_bias, width), residual_, residual_);
  add_product(attended_, place.projection_weight, width, width, residual_);

  layer_norm_of(residual_, place.norm_2_weight, place.norm_2_bias);
  fill_rows(parallel_, parameters_from(place.up_bias, 4 * width), up_);
  add_product(normed_, place.up_weight, width, 4 * width, up_);
  gelu(parallel_, up_, active_);
  fill_rows(parallel_, parameters_from(place.down_bias, width), residual_, residual_);
  add_product(active_, place.down_weight, 4 * width, width, residual_);
}

// Keeps the position's keys and values, and attends to all up to them.
void HostGenerator::attend(Cache& cache, std::int64_t position) {
  const std::int64_t width = shape_.width;
  const std::int64_t head_width = shape_.head_width();
  const float scale = 1 / std::sqrt(static_cast<float>(head_width));
  const std::int64_t texts = std::ssize(residual_) / width;
  parallel_.run(texts * shape_.heads, 1, [&](std::int64_t i, std::int64_t) {
    const std::int64_t text = i / shape_.heads;
    const std::int64_t first = i % shape_.heads * head_width;  // column of the head
    const float* query = projected_.data() + text * 3 * width + first;
    float* rows = cache.data() + text * options_.max_length * 2 * width + first;
    float* newest = rows + position * 2 * width;
    std::copy_n(query + width, head_width, newest);
    std::copy_n(query + 2 * width, head_width, newest + width);

    std::vector<float> scores(static_cast<std::size_t>(position) + 1);
    multiply(1,
             position + 1,
             head_width,
             {query, head_width},
             {rows, 2 * width, true},
             {scores.data(), position + 1});
    const float highest = *std::max_element(scores.begin(), scores.end());
    float sum = 0;
    for (float& score : scores) {
      score = std::exp(scale * (score - highest));
      sum += score;
    }
    for (float& score : scores) {
      score /= sum;
    }
    multiply(1,
             head_width,
             position + 1,
             {scores.data(), position + 1},
             {rows + width, 2 * width},
             {attended_.data() + text * width + first, width});
  });
}

void HostGenerator::predict() {
  layer_norm_of(residual_, layout_.final_norm_weight, layout_.final_norm_bias);
  multiply_in_parallel(parallel_,
                       std::ssize(residual_) / shape_.width,
                       options_.vocabulary,
                       shape_.width,
                       {normed_.data(), shape_.width},
                       {parameters_.data() + layout_.token_embedding, shape_.width, true},
                       {logits_.data(), options_.vocabulary});
}

std::span<const float> HostGenerator::parameters_from(std::int64_t offset,
                                                      std::int64_t size) const {
  return parameters_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

void HostGenerator::layer_norm_of(std::span<const float> input,
                                  std::int64_t weight,
                                  std::int64_t bias) {
  NormStatistics statistics;
  layer_norm(parallel_,
             input,
             {parameters_.data() + weight, parameters_.data() + bias},
             shape_.width,
             normed_,
             statistics);
}

void HostGenerator::add_product(std::span<const float> input,
                                std::int64_t weight,
                                std::int64_t inputs,
                                std::int64_t outputs,
                                std::span<float> output) const {
  multiply_in_parallel(parallel_,
                       std::ssize(input) / inputs,
                       outputs,
                       inputs,
                       {input.data(), inputs},
                       {parameters_.data() + weight, outputs},
                       {output.data(), outputs, true});
}

}  // namespace penstock::gpu
