#include "gpu/lm_score.h"

#include <cmath>
#include <limits>
#include <optional>

#include "gpu/stream_checksum.h"

namespace penstock::gpu {
namespace {

// Of `width`: matrix units want rows of whole 16 bytes.
constexpr std::int64_t kWidthStep = 8;
// More is a slip.
constexpr std::int64_t kMaxWidth = 65'536;

double mean(double sum, std::int64_t count) {
  return count > 0 ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

double accuracy(const LmScoreTotals& totals) {
  return mean(static_cast<double>(totals.num_correct), totals.num_scored);
}

std::string width_error(std::int64_t width) {
  return "got " + std::to_string(width) + ", expected a multiple of " + std::to_string(kWidthStep) +
         " from " + std::to_string(kWidthStep) + " to " + std::to_string(kMaxWidth);
}

bool is_width(std::int64_t width) {
  return width >= kWidthStep && width <= kMaxWidth && width % kWidthStep == 0;
}

// Options that say otherwise than the file are a mistake of the configuration's writer.
void check_agreement(const StageConfig& config, const std::string& option, std::int64_t in_file) {
  if (config.is_set(option) && config.integer(option) != in_file) {
    throw config.error(option,
                       "got " + std::to_string(config.integer(option)) + ", and the weights in '" +
                           config.text("weights") + "' have " + std::to_string(in_file) +
                           "; leave it out to take theirs");
  }
}

void check_weights(const LmWeights& weights,
                   const StageConfig& config,
                   const std::optional<std::int64_t>& tokenizer_vocabulary) {
  const std::string file = "'" + config.text("weights") + "' ";
  check_agreement(config, "width", weights.width);
  check_agreement(config, "window", weights.window);
  if (!is_width(weights.width)) {
    throw config.error("weights", file + "has a wrong width: " + width_error(weights.width));
  }
  if (weights.window > kMaxWindow) {
    throw config.error("weights",
                       file + "has a window of " + std::to_string(weights.window) +
                           ", expected at most " + std::to_string(kMaxWindow));
  }
  if (tokenizer_vocabulary && weights.vocabulary < *tokenizer_vocabulary) {
    throw config.error("weights",
                       file + "has a vocabulary of " + std::to_string(weights.vocabulary) +
                           " ids, fewer than the tokenizer's " +
                           std::to_string(*tokenizer_vocabulary));
  }
}

LmWeights read_weights(const StageConfig& config) {
  try {
    return read_lm_weights(config.text("weights"));
  } catch (const std::runtime_error& error) {
    throw config.error("weights", error.what());
  }
}

}  // namespace

std::vector<Option> lm_score_options() {
  const LmScoreOptions defaults;
  return {
      Option::integer("width",
                      "Width of the model, a multiple of 8. With weights from a file, the file's.")
          .in_range(kWidthStep, kMaxWidth)
          .or_else(defaults.width),
      Option::integer("window",
                      "How many tokens, the newest included, the model looks at to predict the "
                      "next one; never across documents. With weights from a file, the file's.")
          .in_range(1, kMaxWindow)
          .or_else(defaults.window),
      Option::integer("tile",
                      "Positions whose logits exist at the same time. They take 4 bytes for each "
                      "position and id of the vocabulary.")
          .at_least(1)
          .or_else(defaults.tile),
      Option::text("weights",
                   "Path of a safetensors file with embedding.weight [vocabulary, width], "
                   "mix.weight [window, width] and projection.weight [vocabulary, width] in BF16, "
                   "F16 or F32; empty makes up weights from the seed.")
          .or_else(defaults.weights),
      Option::integer("seed", "Of made-up weights and of samples.")
          .at_least(0)
          .or_else(static_cast<std::int64_t>(defaults.seed)),
      Option::number("temperature",
                     "Divides the logits before a token is sampled; 0 takes the most likely one.")
          .at_least(0)
          .or_else(defaults.temperature),
      Option::integer("top_k", "Samples from this many most likely ids; 0 is all.")
          .at_least(0)
          .or_else(defaults.top_k),
      Option::number("top_p",
                     "Samples from the fewest most likely ids that have this probability together "
                     "(of that which top_k leaves), more than 0; 1 is all.")
          .in_range(0, 1)
          .or_else(defaults.top_p),
  };
}

LmScoreOptions read_lm_score_options(const StageConfig& config) {
  LmScoreOptions options;
  options.width = config.integer("width");
  options.window = config.integer("window");
  options.tile = config.integer("tile");
  options.weights = config.text("weights");
  options.seed = static_cast<std::uint64_t>(config.integer("seed"));
  options.temperature = config.number("temperature");
  options.top_k = config.integer("top_k");
  options.top_p = config.number("top_p");
  if (!is_width(options.width)) {
    throw config.error("width", width_error(options.width));
  }
  if (!(options.top_p > 0)) {
    throw config.error("top_p", "got 0, expected a number above 0 and at most 1");
  }
  return options;
}

LmWeights load_lm_weights(const LmScoreOptions& options,
                          const StageConfig& config,
                          const DeviceStageContext& context) {
  const std::optional<std::int64_t>& tokenizer_vocabulary = context.stream.vocabulary_size;
  if (options.weights.empty()) {
    return seeded_lm_weights(tokenizer_vocabulary.value_or(kDefaultVocabulary),
                             options.width,
                             options.window,
                             options.seed);
  }
  try {
    context.files.add_input(options.weights);
  } catch (const std::runtime_error& error) {
    throw config.error("weights", error.what());
  }
  LmWeights weights = read_weights(config);
  check_weights(weights, config, tokenizer_vocabulary);
  return weights;
}

std::runtime_error unknown_token_ids(std::int64_t count, std::int64_t vocabulary) {
  return std::runtime_error(std::to_string(count) +
                            (count == 1 ? " token has an id" : " tokens have ids") +
                            " outside lm_score's vocabulary of " + std::to_string(vocabulary) +
                            ": its weights are for another tokenizer");
}

std::vector<Result> lm_score_figures(const LmScoreTotals& totals,
                                     const LmScoreTotals& last_batch,
                                     const std::vector<LmSegmentScore>& last_segments) {
  const double loss = mean(totals.loss_sum, totals.num_scored);
  std::vector<double> document_perplexity;
  for (const LmSegmentScore& segment : last_segments) {
    if (segment.num_scored > 0) {
      document_perplexity.push_back(std::exp(mean(segment.loss_sum, segment.num_scored)));
    }
  }
  return {{"batches", totals.num_batches},
          {"scored", totals.num_scored},
          {"sampled", totals.num_sampled},
          {"loss", loss},
          {"perplexity", std::exp(loss)},
          {"accuracy", accuracy(totals)},
          {"sampled_accuracy",
           mean(static_cast<double>(totals.num_sampled_correct), totals.num_scored)},
          {"sample_checksum", checksum_text(totals.sample_checksum)},
          {"batch_loss", mean(last_batch.loss_sum, last_batch.num_scored)},
          {"batch_accuracy", accuracy(last_batch)},
          {"document_perplexity", std::move(document_perplexity)}};
}

}  // namespace penstock::gpu
