#include "apps/generate_command.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <utility>

#include "apps/exit_status.h"
#include "apps/standard_streams.h"
#include "gpu/device_choice.h"
#include "gpu/generator.h"
#include "pipeline/checkpoint_folder.h"
#include "pipeline/errors.h"
#include "pipeline/graph_run.h"
#include "stages/tokenizer/sentencepiece_tokenizer.h"

namespace penstock {
namespace {

// The folder in the checkpoint that holds a model.
std::filesystem::path folder_of_model(const std::string& checkpoint) {
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint)) {
    if (std::filesystem::exists(entry.path() / "model.safetensors")) {
      return entry.path();
    }
  }
  throw FileError("the checkpoint '" + checkpoint +
                  "' holds no model: it is none of a run with lm_train");
}

// With the paths of the checkpoint's files where there is one.
GenerateOptions with_checkpoint(GenerateOptions options) {
  if (options.checkpoint_path.empty()) {
    return options;
  }
  const FoundCheckpoint found = find_checkpoint(options.checkpoint_path);
  for (const std::string& warning : found.warnings) {
    write_standard_error("warning: " + warning + '\n');
  }
  const std::filesystem::path folder = folder_of_model(found.point.folder);
  options.weights_path = (folder / "model.safetensors").string();
  const std::filesystem::path tokenizer = folder / "tokenizer.model";
  if (options.tokenizer_path.empty() && !std::filesystem::exists(tokenizer)) {
    throw FileError("the checkpoint '" + found.point.folder +
                    "' holds no tokenizer; name its model with --tokenizer");
  }
  if (options.tokenizer_path.empty()) {
    options.tokenizer_path = tokenizer.string();
  }
  return options;
}

gpu::TransformerWeights read_weights(const GenerateOptions& options, const Tokenizer& tokenizer) {
  gpu::TransformerWeights weights =
      gpu::read_transformer_weights(options.weights_path, options.heads);
  if (weights.shape.vocabulary < tokenizer.vocabulary_size()) {
    throw std::runtime_error("'" + options.weights_path + "' has a vocabulary of " +
                             std::to_string(weights.shape.vocabulary) +
                             " ids, and the tokenizer '" + options.tokenizer_path + "' has " +
                             std::to_string(tokenizer.vocabulary_size()) +
                             ": it was trained with another one");
  }
  return weights;
}

std::vector<gpu::TokenText> encode(const std::vector<std::string>& texts,
                                   const Tokenizer& tokenizer) {
  const std::unique_ptr<Encoder> encoder = tokenizer.make_encoder();
  std::vector<gpu::TokenText> encoded(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    encoder->encode(texts[i], encoded[i]);
  }
  return encoded;
}

std::vector<gpu::TokenText> continue_texts(const GenerateOptions& options,
                                           gpu::TransformerWeights weights,
                                           std::int64_t vocabulary,
                                           const std::vector<gpu::TokenText>& prompts) {
  const gpu::ChosenDevice chosen = gpu::open_device(gpu::parse_device_choice(options.device));
  gpu::GeneratorOptions generation;
  generation.max_prompts = std::ssize(prompts);
  generation.max_length = weights.shape.max_length;
  generation.vocabulary = vocabulary;
  generation.sampling = {
      static_cast<std::uint64_t>(options.seed), options.temperature, options.top_k, options.top_p};
  gpu::check_prompts(prompts, options.num_tokens, generation);
  const std::unique_ptr<gpu::Generator> generator =
      chosen.device->backend() == gpu::Backend::kCuda
          ? gpu::make_cuda_generator(weights, generation)
          : gpu::make_host_generator(std::move(weights), generation, available_threads());
  generator->enqueue(prompts, options.num_tokens, chosen.device->compute_stream());
  generator->wait();
  return generator->next().value();
}

}  // namespace

int generate_command(const GenerateOptions& asked_for) {
  const GenerateOptions options = with_checkpoint(asked_for);
  const std::shared_ptr<const Tokenizer> tokenizer = load_sentencepiece(options.tokenizer_path, {});
  gpu::TransformerWeights weights = read_weights(options, *tokenizer);
  std::vector<gpu::TokenText> texts = encode(options.prompts, *tokenizer);
  const std::vector<gpu::TokenText> continuations =
      continue_texts(options, std::move(weights), tokenizer->vocabulary_size(), texts);
  std::string output;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const gpu::TokenText& more = continuations[i];
    const auto end = tokenizer->eos_id() ? std::find(more.begin(), more.end(), *tokenizer->eos_id())
                                         : more.end();
    texts[i].insert(texts[i].end(), more.begin(), end);
    output += (i > 0 ? "\n" : "") + tokenizer->decode(texts[i]) + "\n";
  }
  write_standard_output(output);
  return kExitSuccess;
}

}  // namespace penstock
