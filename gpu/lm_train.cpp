#include "gpu/lm_train.h"

#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>

#include "gpu/transformer_weights.h"
#include "pipeline/atomic_file.h"

namespace penstock::gpu {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// Ids where neither the options nor a tokenizer say how many.
constexpr std::int64_t kDefaultVocabulary = 50'257;
// More is a slip.
constexpr std::int64_t kMaxVocabulary = 1 << 24;
constexpr std::int64_t kMaxWidth = 65'536;
constexpr std::int64_t kMaxLayers = 1'000;

struct Size {
  std::int64_t width = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
};

const std::map<std::string, Size>& sizes() {
  static const std::map<std::string, Size> by_name = {
      {"tiny", {128, 4, 2}}, {"small", {768, 12, 12}}, {"medium", {1024, 24, 16}}};
  return by_name;
}

std::int64_t integer_or(const StageConfig& config, const char* option, std::int64_t otherwise) {
  return config.integer(option) > 0 ? config.integer(option) : otherwise;
}

std::int64_t vocabulary_of(const StageConfig& config, const StreamInfo& stream) {
  const std::int64_t vocabulary =
      integer_or(config, "vocabulary", stream.vocabulary_size.value_or(kDefaultVocabulary));
  if (stream.vocabulary_size && vocabulary < *stream.vocabulary_size) {
    throw config.error("vocabulary",
                       "got " + std::to_string(vocabulary) + ", and the tokenizer has " +
                           std::to_string(*stream.vocabulary_size) +
                           " ids; leave it out to take as many");
  }
  return vocabulary;
}

TransformerShape read_shape(const StageConfig& config, const DeviceStageContext& context) {
  const Size& size = sizes().at(config.text("model"));
  TransformerShape shape;
  shape.vocabulary = vocabulary_of(config, context.stream);
  shape.max_length = context.shape.sequence_length;
  shape.width = integer_or(config, "width", size.width);
  shape.layers = integer_or(config, "layers", size.layers);
  shape.heads = integer_or(config, "heads", size.heads);
  if (shape.width % shape.heads != 0) {
    throw config.error("width",
                       "the width of " + std::to_string(shape.width) + " cannot be divided among " +
                           std::to_string(shape.heads) +
                           " heads; give a multiple of them, or other heads");
  }
  return shape;
}

AdamWOptions read_optimizer(const StageConfig& config) {
  AdamWOptions options;
  options.learning_rate = config.number("learning_rate");
  options.warmup_steps = config.integer("warmup_steps");
  options.decay_steps = config.integer("decay_steps");
  options.final_learning_rate = config.number("final_learning_rate");
  options.weight_decay = config.number("weight_decay");
  options.beta1 = config.number("beta1");
  options.beta2 = config.number("beta2");
  options.epsilon = config.number("epsilon");
  options.gradient_clip = config.number("gradient_clip");
  if (options.decay_steps != 0 && options.decay_steps <= options.warmup_steps) {
    throw config.error("decay_steps",
                       "got " + std::to_string(options.decay_steps) +
                           ", expected 0 or more than the warmup_steps, " +
                           std::to_string(options.warmup_steps));
  }
  if (options.decay_steps != 0 && options.final_learning_rate > options.learning_rate) {
    throw config.error("final_learning_rate", "is above learning_rate, and the rate is to fall");
  }
  for (const char* beta : {"beta1", "beta2"}) {
    if (config.number(beta) == 1) {
      throw config.error(beta, "got 1, expected a number below 1");
    }
  }
  if (!(options.epsilon > 0)) {
    throw config.error("epsilon", "got 0, expected a number above 0");
  }
  return options;
}

double mean(double sum, std::int64_t count) {
  return count > 0 ? sum / static_cast<double>(count) : kNone;
}

std::runtime_error unknown_ids(std::int64_t count, std::int64_t vocabulary) {
  return std::runtime_error(std::to_string(count) +
                            (count == 1 ? " token has an id" : " tokens have ids") +
                            " outside lm_train's vocabulary of " + std::to_string(vocabulary) +
                            ": the tokens are of another tokenizer");
}

// Nothing where the option is empty. A file that cannot be written is told of before training.
void claim_output(const StageConfig& config,
                  const DeviceStageContext& context,
                  const char* option) {
  const std::string& path = config.text(option);
  if (path.empty()) {
    return;
  }
  try {
    context.files.add_output(path);
    const AtomicFile writable(path);
  } catch (const std::runtime_error& error) {
    throw config.error(option, error.what());
  }
}

TransformerWeights read_weights(const StageConfig& config, const DeviceStageContext& context) {
  const std::string& path = config.text("weights");
  try {
    context.files.add_input(path);
    return read_transformer_weights(path, config.integer("heads"));
  } catch (const std::runtime_error& error) {
    throw config.error("weights", error.what());
  }
}

// Options that say otherwise than the file are a mistake of the configuration's writer.
void check_weights(const StageConfig& config,
                   const DeviceStageContext& context,
                   const TransformerShape& wanted,
                   const TransformerShape& found) {
  const std::string file = "'" + config.text("weights") + "' ";
  const auto check = [&](const char* option, std::int64_t want, std::int64_t in_file) {
    if (config.integer(option) > 0 && want != in_file) {
      throw config.error(option,
                         "got " + std::to_string(want) + ", and the weights in " + file + "have " +
                             std::to_string(in_file) + "; leave it out to take theirs");
    }
  };
  check("width", wanted.width, found.width);
  check("layers", wanted.layers, found.layers);
  check("vocabulary", wanted.vocabulary, found.vocabulary);
  if (config.is_set("model") && (wanted.width != found.width || wanted.layers != found.layers)) {
    throw config.error("model",
                       "got " + config.text("model") + ", and the weights in " + file +
                           "have a width of " + std::to_string(found.width) + " and " +
                           std::to_string(found.layers) + " layers; leave it out to take theirs");
  }
  if (context.stream.vocabulary_size && found.vocabulary < *context.stream.vocabulary_size) {
    throw config.error("weights",
                       file + "has a vocabulary of " + std::to_string(found.vocabulary) +
                           " ids, fewer than the tokenizer's " +
                           std::to_string(*context.stream.vocabulary_size));
  }
  if (found.max_length < context.shape.sequence_length) {
    throw config.error("weights",
                       file + "knows " + std::to_string(found.max_length) +
                           " positions, fewer than the sequence_length of " +
                           std::to_string(context.shape.sequence_length));
  }
}

constexpr const char* kModelFile = "/model.safetensors";
constexpr const char* kOptimizerFile = "/optimizer.safetensors";
constexpr const char* kTokenizerFile = "/tokenizer.model";

// ", heads was 2 and is 4 now"; empty where nothing has changed.
std::string change_text(const char* name, std::int64_t before, std::int64_t now) {
  return before == now ? ""
                       : ", " + std::string(name) + " was " + std::to_string(before) + " and is " +
                             std::to_string(now) + " now";
}

void check_same_training(const TrainingSnapshot& before, const LmTrainOptions& now) {
  const std::string changes =
      change_text("vocabulary", before.shape.vocabulary, now.shape.vocabulary) +
      change_text("sequence_length", before.shape.max_length, now.shape.max_length) +
      change_text("width", before.shape.width, now.shape.width) +
      change_text("layers", before.shape.layers, now.shape.layers) +
      change_text("heads", before.shape.heads, now.shape.heads) +
      change_text("accumulate", before.accumulate, now.accumulate);
  if (!changes.empty()) {
    throw std::runtime_error("the training would not be the same: " + changes.substr(2));
  }
}

TrainingSnapshot read_checkpoint(const DeviceStageContext& context, const LmTrainOptions& options) {
  const std::string& folder = context.resume_folder;
  TransformerWeights weights = read_transformer_weights(folder + kModelFile);
  TrainingSnapshot snapshot;
  snapshot.shape = weights.shape;
  snapshot.parameters = std::move(weights.parameters);
  read_optimizer_state(folder + kOptimizerFile, snapshot);
  check_same_training(snapshot, options);
  if (snapshot.num_batches != context.first_batch) {
    throw std::runtime_error("'" + folder + kOptimizerFile + "' is the state behind batch " +
                             std::to_string(snapshot.num_batches - 1) +
                             ", and the run goes on with batch " +
                             std::to_string(context.first_batch));
  }
  return snapshot;
}

void write_checkpoint(const TrainingSnapshot& snapshot,
                      const std::string& tokenizer_model,
                      const std::string& folder) {
  if (snapshot.bad_batch >= 0) {
    throw std::runtime_error("a loss or a gradient is not finite");
  }
  write_transformer_weights(snapshot.shape, snapshot.parameters, folder + kModelFile);
  write_optimizer_state(snapshot, folder + kOptimizerFile);
  if (!tokenizer_model.empty()) {
    AtomicFile file(folder + kTokenizerFile);
    file.write(tokenizer_model);
    file.commit();
  }
}

}  // namespace

std::vector<Option> lm_train_options() {
  const AdamWOptions optimizer;
  const LmTrainOptions defaults;
  std::vector<std::string> names;
  for (const auto& [name, size] : sizes()) {
    names.push_back(name);
  }
  std::vector<Option> options = {
      Option::choice("model",
                     "Size of the model: tiny (width 128, 4 layers, 2 heads, for a CPU), small "
                     "(768, 12, 12: GPT-2's 124 million parameters) or medium (1024, 24, 16: 355 "
                     "million).",
                     names)
          .or_else(std::string("tiny")),
      Option::integer("width", "Width of the model, a multiple of its heads; 0 is what model says.")
          .in_range(0, kMaxWidth)
          .or_else(std::int64_t{0}),
      Option::integer("layers", "Layers of the model; 0 is what model says.")
          .in_range(0, kMaxLayers)
          .or_else(std::int64_t{0}),
      Option::integer("heads", "Attention heads of a layer; 0 is what model says.")
          .in_range(0, kMaxWidth)
          .or_else(std::int64_t{0}),
      Option::integer("vocabulary",
                      "Ids that the model knows, at least as many as the tokenizer has; 0 is as "
                      "many.")
          .in_range(0, kMaxVocabulary)
          .or_else(std::int64_t{0}),
      Option::text("weights",
                   "Path of a safetensors file with the weights to begin with, as Hugging Face's "
                   "GPT-2 has them (F32, F16 or BF16); the sizes are the file's. Empty is a new "
                   "model.")
          .or_else(defaults.weights),
      Option::text("save_weights",
                   "Path of the safetensors file that gets the weights at the end of the run, as "
                   "Hugging Face's GPT-2 has them, in F32. Empty is none.")
          .or_else(defaults.save_weights),
      Option::integer("seed", "Of the weights that a new model begins with.")
          .at_least(0)
          .or_else(static_cast<std::int64_t>(defaults.seed)),
      Option::integer("accumulate",
                      "Batches of which the gradients are added up before the model is changed.")
          .in_range(1, 1e6)
          .or_else(defaults.accumulate),
      Option::number("learning_rate", "The highest learning rate.")
          .in_range(0, 10)
          .or_else(optimizer.learning_rate),
      Option::integer("warmup_steps", "Steps in which the learning rate rises from 0.")
          .in_range(0, 1e9)
          .or_else(optimizer.warmup_steps),
      Option::integer("decay_steps",
                      "The step, counted from the first one, at which the learning rate has fallen "
                      "to final_learning_rate, by a cosine; 0: it does not fall.")
          .in_range(0, 1e9)
          .or_else(optimizer.decay_steps),
      Option::number("final_learning_rate", "From decay_steps on.")
          .in_range(0, 10)
          .or_else(optimizer.final_learning_rate),
      Option::number("weight_decay",
                     "By which share of itself, times the learning rate, every weight of a matrix "
                     "shrinks in a step.")
          .in_range(0, 10)
          .or_else(optimizer.weight_decay),
      Option::number("beta1", "Of AdamW: how much is kept of the mean gradient; below 1.")
          .in_range(0, 1)
          .or_else(optimizer.beta1),
      Option::number("beta2", "Of AdamW: how much is kept of the mean squared gradient; below 1.")
          .in_range(0, 1)
          .or_else(optimizer.beta2),
      Option::number("epsilon", "Of AdamW: what is added to the divisor; above 0.")
          .in_range(0, 1)
          .or_else(optimizer.epsilon),
      Option::number("gradient_clip", "Highest norm of a step's gradient; 0 is no limit.")
          .at_least(0)
          .or_else(optimizer.gradient_clip),
      Option::integer("tile",
                      "Positions whose logits exist at the same time. On the CPU they take 4 bytes "
                      "for each position and id of the vocabulary, on a GPU 2.")
          .at_least(1)
          .or_else(defaults.tile),
  };
  for (Option& option : held_out_options()) {
    options.push_back(std::move(option));
  }
  return options;
}

LmTrainOptions read_lm_train_options(const StageConfig& config, const DeviceStageContext& context) {
  LmTrainOptions options;
  options.shape = read_shape(config, context);
  options.optimizer = read_optimizer(config);
  options.accumulate = config.integer("accumulate");
  options.tile = config.integer("tile");
  options.seed = static_cast<std::uint64_t>(config.integer("seed"));
  options.weights = config.text("weights");
  options.save_weights = config.text("save_weights");
  return options;
}

LmTrainBeginning begin_lm_train(const StageConfig& config, const DeviceStageContext& context) {
  LmTrainBeginning beginning{read_lm_train_options(config, context), {}};
  LmTrainOptions& options = beginning.options;
  claim_output(config, context, "save_weights");
  if (options.weights.empty()) {
    beginning.parameters = initial_parameters(transformer_layout(options.shape, 1), options.seed);
    return beginning;
  }
  TransformerWeights weights = read_weights(config, context);
  check_weights(config, context, options.shape, weights.shape);
  options.shape = weights.shape;
  beginning.parameters = std::move(weights.parameters);
  return beginning;
}

std::unique_ptr<DeviceStage> make_lm_train(const LmTrainOptions& options,
                                           std::unique_ptr<TransformerTrainer> trainer,
                                           const StageConfig& config,
                                           const DeviceStageContext& context) {
  auto held_out = std::make_unique<HeldOut>(config, context, *trainer);
  auto stage = std::make_unique<LmTrain>(
      options, std::move(trainer), std::move(held_out), context.stream.decoder);
  if (!context.resume_folder.empty()) {
    stage->go_on_from(read_checkpoint(context, options));
  }
  if (context.makes_checkpoints) {
    stage->reserve_save();
  }
  return stage;
}

LmTrain::LmTrain(const LmTrainOptions& options,
                 std::unique_ptr<TransformerTrainer> trainer,
                 std::unique_ptr<HeldOut> held_out,
                 std::shared_ptr<const TokenDecoder> decoder)
    : options_(options),
      trainer_(std::move(trainer)),
      held_out_(std::move(held_out)),
      decoder_(std::move(decoder)) {}

void LmTrain::go_on_from(const TrainingSnapshot& snapshot) {
  trainer_->load(snapshot);
  num_batches_ = snapshot.num_batches;
  reported_.num_batches = snapshot.num_batches;
  reported_.num_tokens = snapshot.num_tokens;
  newest_ = reported_;
}

void LmTrain::hand_over(const Batch& batch) {
  origins_.add(batch);
}

void LmTrain::enqueue(const DeviceBatch& batch, DeviceStream stream) {
  ++num_batches_;
  sequence_length_ = batch.shape.sequence_length;
  sent_.push_back({batch.index, sequence_length_});
  std::optional<AdamWStep> step;
  if (num_batches_ % options_.accumulate == 0) {
    step = adamw_step(options_.optimizer, num_batches_ / options_.accumulate);
  }
  trainer_->train(batch, step, stream);
  if (step && held_out_ && !failure_) {
    held_out_->enqueue(num_batches_ / options_.accumulate, *trainer_, stream);
  }
  trainer_->enqueue_totals(stream);
  take_totals();
}

void LmTrain::enqueue_report(DeviceStream) {
  asked_for_.push_back(num_batches_);
  take_totals();
  report_newest();
}

std::optional<Report> LmTrain::next_report() {
  take_totals();
  if (reports_.empty()) {
    rethrow_failure();
    return std::nullopt;
  }
  Report report = std::move(reports_.front());
  reports_.pop_front();
  return report;
}

void LmTrain::reserve_save() {
  trainer_->reserve_snapshot();
  can_save_ = true;
}

void LmTrain::enqueue_save(DeviceStream stream) {
  if (!can_save_) {
    reserve_save();
  }
  save_ = trainer_->enqueue_snapshot(stream);
  is_saving_ = true;
}

std::optional<CheckpointPart> LmTrain::next_save() {
  if (!std::exchange(is_saving_, false)) {
    return std::nullopt;
  }
  // Let go of when it is written, so that the next one has its memory.
  return [save = std::move(save_), decoder = decoder_, accumulate = options_.accumulate](
             const std::string& folder) mutable {
    const std::shared_ptr<PendingSnapshot> pending = std::move(save);
    if (!pending) {
      throw std::runtime_error("its memory still holds the checkpoint before");
    }
    TrainingSnapshot snapshot = pending->wait();
    snapshot.accumulate = accumulate;
    write_checkpoint(snapshot, decoder ? decoder->model() : "", folder);
  };
}

std::vector<Result> LmTrain::results() {
  trainer_->wait_for_totals();
  take_totals();
  rethrow_failure();
  if (held_out_) {
    held_out_->finish();
  }
  if (!options_.save_weights.empty()) {
    write_transformer_weights(options_.shape, trainer_->read_parameters(), options_.save_weights);
  }
  const bool is_reported =
      !reported_figures_.empty() && newest_.num_batches == reported_.num_batches;
  return is_reported ? reported_figures_ : figures(newest_);
}

void LmTrain::take_totals() {
  if (failure_) {
    return;
  }
  try {
    while (const std::optional<TrainingTotals> totals = trainer_->next_totals()) {
      check(*totals);
      newest_ = *totals;
      origins_.forget_before(sent_.front().index + 1);
      sent_.pop_front();
      report_newest();
    }
    if (held_out_) {
      held_out_->pass_on();
    }
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void LmTrain::rethrow_failure() const {
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

void LmTrain::report_newest() {
  if (asked_for_.empty() || asked_for_.front() != newest_.num_batches) {
    return;
  }
  asked_for_.pop_front();
  reported_figures_ = figures(newest_);
  reported_ = newest_;
  reports_.push_back({newest_.num_batches, reported_figures_});
}

// The totals are those after the oldest batch that was sent.
void LmTrain::check(const TrainingTotals& totals) const {
  if (totals.num_unknown > 0) {
    throw unknown_ids(totals.num_unknown, options_.shape.vocabulary);
  }
  if (totals.bad_batch < 0) {
    return;
  }
  const Sent& sent = sent_.front();
  const std::int64_t step = totals.bad_batch / options_.accumulate + 1;
  std::string text = totals.bad_position >= 0 ? "the loss" : "the gradient";
  text +=
      " is not finite at step " + std::to_string(step) + ", batch " + std::to_string(sent.index);
  if (totals.bad_position >= 0) {
    const std::int64_t row = totals.bad_position / sent.positions;
    text += ", first in its row " + std::to_string(row);
    const std::string records = origins_.of_row(sent.index, row);
    text += records.empty() ? "" : " (" + records + ")";
  }
  throw std::runtime_error(text + ": lower learning_rate, or give it more warmup_steps");
}

std::vector<Result> LmTrain::figures(const TrainingTotals& totals) const {
  const std::int64_t num_scored = totals.num_scored - reported_.num_scored;
  const double loss = mean(totals.loss_sum - reported_.loss_sum, num_scored);
  const double accuracy =
      mean(static_cast<double>(totals.num_correct - reported_.num_correct), num_scored);
  const double eval_loss = mean(totals.evaluated_loss_sum - reported_.evaluated_loss_sum,
                                totals.num_evaluated - reported_.num_evaluated);
  const double seconds = static_cast<double>(totals.nanoseconds - reported_.nanoseconds) * 1e-9;
  const auto num_tokens = static_cast<double>(totals.num_tokens - reported_.num_tokens);
  const std::int64_t step = totals.num_batches / options_.accumulate;
  // Weights may know more positions than the batches have.
  TransformerShape computed = options_.shape;
  computed.max_length = sequence_length_ > 0 ? sequence_length_ : computed.max_length;
  std::vector<Result> figures = {
      {"step", step},
      {"tokens", totals.num_tokens},
      {"loss", loss},
      {"accuracy", accuracy},
      {"perplexity", std::exp(loss)},
      {"eval_loss", eval_loss},
      {"learning_rate", step > 0 ? learning_rate_at(options_.optimizer, step) : kNone},
      {"gradient_norm", step > 0 ? totals.gradient_norm : kNone},
      {"tokens_per_second", reported_.nanoseconds > 0 ? num_tokens / seconds : kNone},
      {"flops_per_token", training_flops_per_token(computed)},
      {"gpu_memory", kNone}};
  if (const std::optional<std::int64_t> memory = trainer_->memory_bytes()) {
    figures.back().value = *memory;
  }
  return figures;
}

}  // namespace penstock::gpu
