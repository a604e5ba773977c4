#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gpu/host/matrix_product.h"
#include "gpu/host/sample_token.h"
#include "gpu/lm_score.h"
#include "gpu/lm_weights.h"
#include "gpu/philox.h"
#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

// An input position of a batch that is no padding.
struct Position {
  std::int64_t index = 0;           // in the batch
  const TokenId* token = nullptr;   // behind those of the segment before it
  std::int64_t context_length = 0;  // tokens of its segment up to and with it
  std::size_t segment = 0;
  bool is_scored = false;  // the target is token[1]
};

std::vector<Position> positions_of(const DeviceBatch& batch) {
  const BatchShape& shape = batch.shape;
  std::vector<Position> positions;
  for (std::int64_t segment = 0; segment < batch.num_segments; ++segment) {
    const std::int64_t begin = batch.cu_seqlens[segment];
    const std::int64_t end = batch.cu_seqlens[segment + 1];
    for (std::int64_t index = begin; index < end; ++index) {
      const std::int64_t row = index / shape.sequence_length;
      const std::int64_t column = index % shape.sequence_length;
      if (column >= batch.row_tokens[row]) {
        continue;
      }
      const bool is_last_of_row = column + 1 == shape.sequence_length;
      positions.push_back(
          {index,
           batch.tokens + row * shape.row_length + column,
           index - begin + 1,
           static_cast<std::size_t>(segment),
           column + 1 < batch.row_tokens[row] && (is_last_of_row || index + 1 < end)});
    }
  }
  return positions;
}

void check_token_ids(const DeviceBatch& batch, std::int64_t vocabulary) {
  std::int64_t num_unknown = 0;
  for (std::int64_t row = 0; row < batch.shape.batch_size; ++row) {
    const TokenId* begin = batch.tokens + row * batch.shape.row_length;
    num_unknown += std::count_if(
        begin, begin + batch.row_tokens[row], [=](TokenId id) { return id >= vocabulary; });
  }
  if (num_unknown > 0) {
    throw unknown_token_ids(num_unknown, vocabulary);
  }
}

double log_sum_exp(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp(static_cast<double>(logit) - highest);
  }
  return highest + std::log(sum);
}

class HostLmScore final : public DeviceStage {
 public:
  HostLmScore(LmScoreOptions options, LmWeights weights)
      : options_(std::move(options)), weights_(std::move(weights)) {
    projection_.resize(weights_.projection.size());
    std::transform(
        weights_.projection.begin(), weights_.projection.end(), projection_.begin(), to_float);
    weights_.projection = {};
  }

  void enqueue(const DeviceBatch& batch, DeviceStream) override {
    check_token_ids(batch, weights_.vocabulary);
    batch_ = {.num_batches = 1};
    segments_.assign(static_cast<std::size_t>(batch.num_segments), LmSegmentScore());
    const std::vector<Position> positions = positions_of(batch);
    const auto tile = static_cast<std::size_t>(options_.tile);
    for (std::size_t begin = 0; begin < positions.size();) {
      const std::size_t count = std::min(tile, positions.size() - begin);
      score_tile(std::span(positions).subspan(begin, count), batch.first_position());
      begin += count;
    }
    totals_.add(batch_);
  }

  void enqueue_report(DeviceStream) override {
    reports_.push_back({totals_.num_batches, lm_score_figures(totals_, batch_, segments_)});
  }

  std::optional<Report> next_report() override {
    if (reports_.empty()) {
      return std::nullopt;
    }
    Report report = std::move(reports_.front());
    reports_.pop_front();
    return report;
  }

  std::vector<Result> results() override { return lm_score_figures(totals_, batch_, segments_); }

 private:
  void score_tile(std::span<const Position> positions, std::int64_t first_position) {
    const auto width = static_cast<std::size_t>(weights_.width);
    const auto vocabulary = static_cast<std::size_t>(weights_.vocabulary);
    contexts_.resize(positions.size() * width);
    logits_.resize(positions.size() * vocabulary);
    for (std::size_t i = 0; i < positions.size(); ++i) {
      write_context(positions[i], std::span(contexts_).subspan(i * width, width));
    }
    multiply_by_transpose(std::ssize(positions),
                          weights_.vocabulary,
                          weights_.width,
                          contexts_.data(),
                          projection_.data(),
                          logits_.data());
    for (std::size_t i = 0; i < positions.size(); ++i) {
      score(positions[i],
            std::span(logits_).subspan(i * vocabulary, vocabulary),
            static_cast<std::uint64_t>(first_position + positions[i].index));
    }
  }

  void write_context(const Position& position, std::span<float> context) const {
    std::fill(context.begin(), context.end(), 0.0F);
    const std::int64_t length = std::min(weights_.window, position.context_length);
    for (std::int64_t k = 0; k < length; ++k) {
      const Bf16* mix = weights_.mix.data() + k * weights_.width;
      const Bf16* embedding = weights_.embedding.data() + *(position.token - k) * weights_.width;
      for (std::size_t i = 0; i < context.size(); ++i) {
        context[i] += to_float(mix[i]) * to_float(embedding[i]);
      }
    }
    for (float& element : context) {
      element = to_float(to_bf16(element));
    }
  }

  void score(const Position& position,
             std::span<const float> logits,
             std::uint64_t place_in_stream) {
    const double log_sum = log_sum_exp(logits);
    if (!std::isfinite(log_sum)) {
      throw std::runtime_error("the logits of position " + std::to_string(position.index) +
                               " are not finite: lm_score's weights are too large");
    }
    const TokenId sample =
        sample_token(logits, options_, philox(options_.seed, place_in_stream, kLmSampleStream));
    batch_.sample_checksum += stream_checksum_term(sample, place_in_stream);
    ++batch_.num_sampled;
    if (position.is_scored) {
      const TokenId target = position.token[1];
      add_score(log_sum - static_cast<double>(logits[target]), segments_[position.segment]);
      batch_.num_correct += most_likely_token(logits) == target ? 1 : 0;
      batch_.num_sampled_correct += sample == target ? 1 : 0;
    }
  }

  void add_score(double loss, LmSegmentScore& segment) {
    batch_.loss_sum += loss;
    ++batch_.num_scored;
    segment.loss_sum += static_cast<float>(loss);
    ++segment.num_scored;
  }

  const LmScoreOptions options_;
  LmWeights weights_;              // without the projection
  std::vector<float> projection_;  // [vocabulary, width]
  // Of the tile that is being scored.
  std::vector<float> contexts_;  // [positions, width]
  std::vector<float> logits_;    // [positions, vocabulary]

  LmScoreTotals totals_;
  // Of the last batch.
  LmScoreTotals batch_;
  std::vector<LmSegmentScore> segments_;
  std::deque<Report> reports_;  // that were not asked for yet
};

}  // namespace

std::unique_ptr<DeviceStage> make_host_lm_score(const StageConfig& config,
                                                const DeviceStageContext& context) {
  LmScoreOptions options = read_lm_score_options(config);
  LmWeights weights = load_lm_weights(options, config, context);
  return std::make_unique<HostLmScore>(std::move(options), std::move(weights));
}

}  // namespace penstock::gpu
