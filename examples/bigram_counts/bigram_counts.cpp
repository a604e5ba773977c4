#include "bigram_counts.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "pipeline/plugin.h"

namespace {

using penstock::Option;
using penstock::gpu::DeviceBatch;

class HostBigramCounts final : public BigramCounts {
 public:
  explicit HostBigramCounts(const BigramSettings& settings)
      : BigramCounts(settings.top), vocabulary_(static_cast<std::size_t>(settings.vocabulary)) {
    counts_.tokens.resize(vocabulary_);
    counts_.bigrams.resize(vocabulary_ * vocabulary_);
  }

  void enqueue(const DeviceBatch& batch, penstock::gpu::DeviceStream) override {
    for (std::int64_t segment = 0; segment < batch.num_segments; ++segment) {
      const std::int64_t begin = batch.cu_seqlens[segment];
      const std::int64_t row = begin / batch.shape.sequence_length;
      const std::int64_t column = begin % batch.shape.sequence_length;
      const std::int64_t size = std::min<std::int64_t>(batch.cu_seqlens[segment + 1] - begin,
                                                       batch.row_tokens[row] - column);
      const penstock::TokenId* tokens = batch.tokens + row * batch.shape.row_length + column;
      for (std::int64_t i = 0; i < size; ++i) {
        count(tokens[i]);
        if (i + 1 < size) {
          count(tokens[i], tokens[i + 1]);
        }
      }
    }
  }

 private:
  void count(std::size_t token) {
    ++(token < vocabulary_ ? counts_.tokens[token] : counts_.outside);
  }
  void count(std::size_t first, std::size_t second) {
    if (first < vocabulary_ && second < vocabulary_) {
      ++counts_.bigrams[first * vocabulary_ + second];
    }
  }

  Counts take_counts() override { return std::move(counts_); }

  const std::size_t vocabulary_;
  Counts counts_;
};

// The indices of the `top` highest counts that are not 0, the lower one first of equals.
std::vector<std::size_t> highest(const std::vector<std::uint64_t>& counts, std::int64_t top) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) {
      indices.push_back(i);
    }
  }
  const auto end = indices.begin() + std::min(top, std::ssize(indices));
  std::partial_sort(indices.begin(), end, indices.end(), [&counts](std::size_t a, std::size_t b) {
    return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
  });
  indices.erase(end, indices.end());
  return indices;
}

std::int64_t sum(const std::vector<std::uint64_t>& counts) {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : counts) {
    sum += count;
  }
  return static_cast<std::int64_t>(sum);
}

std::int64_t different(const std::vector<std::uint64_t>& counts) {
  return std::ssize(counts) - std::count(counts.begin(), counts.end(), std::uint64_t{0});
}

}  // namespace

std::vector<penstock::Result> BigramCounts::results() {
  const Counts counts = take_counts();
  const std::size_t vocabulary = counts.tokens.size();
  std::string top_tokens;
  for (const std::size_t token : highest(counts.tokens, top_)) {
    top_tokens += (top_tokens.empty() ? "" : ", ") + std::to_string(token) + ": " +
                  std::to_string(counts.tokens[token]);
  }
  std::string top_bigrams;
  for (const std::size_t pair : highest(counts.bigrams, top_)) {
    top_bigrams += (top_bigrams.empty() ? "" : ", ") + std::to_string(pair / vocabulary) + " " +
                   std::to_string(pair % vocabulary) + ": " + std::to_string(counts.bigrams[pair]);
  }
  return {{"tokens_counted", sum(counts.tokens)},
          {"different_tokens", different(counts.tokens)},
          {"top_tokens", top_tokens},
          {"bigrams_counted", sum(counts.bigrams)},
          {"different_bigrams", different(counts.bigrams)},
          {"top_bigrams", top_bigrams},
          {"outside_vocabulary", static_cast<std::int64_t>(counts.outside)}};
}

BigramSettings::BigramSettings(const penstock::StageConfig& config,
                               const penstock::gpu::DeviceStageContext& context)
    : vocabulary(config.integer("vocabulary")), top(config.integer("top")) {
  if (vocabulary == 0) {
    vocabulary = context.stream.vocabulary_size.value_or(0);
  }
  if (vocabulary == 0) {
    throw config.error("vocabulary", "no stage before says how many token ids there are: set it");
  }
  const std::int64_t bytes = vocabulary * vocabulary * std::int64_t{sizeof(std::uint64_t)};
  if (bytes > config.integer("max_table")) {
    throw config.error("max_table",
                       "counters for all pairs of " + std::to_string(vocabulary) +
                           " token ids take " + std::to_string(bytes) + " bytes, more than " +
                           penstock::format_bytes(config.integer("max_table")));
  }
}

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  constexpr double kGiB = 1 << 30;
  penstock::gpu::add_device_stage(
      registry,
      {"bigram_counts",
       "Counts tokens and pairs of neighbours.",
       {Option::integer("vocabulary", "How many token ids there are; 0: what the tokenizer says.")
            .in_range(0, 1 << 20)
            .or_else(0),
        Option::integer("top", "How many of the most frequent are told.")
            .in_range(0, 1000)
            .or_else(10),
        Option::bytes("max_table",
                      "Memory of the device that the counters of all pairs may take: 8 bytes times "
                      "the square of the vocabulary.")
            .in_range(0, 1024 * kGiB)
            .or_else(std::int64_t{1} << 30)},
       [](const penstock::StageConfig& config, const penstock::gpu::DeviceStageContext& context) {
         return std::make_unique<HostBigramCounts>(BigramSettings(config, context));
       },
       bigram_counts_on_cuda()});
}
