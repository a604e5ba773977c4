#include "gpu/held_out.h"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "gpu/line_file.h"
#include "pipeline/continued_path.h"
#include "pipeline/errors.h"

namespace penstock::gpu {
namespace {

using Batches = std::vector<std::shared_ptr<const Batch>>;

void check_options(const StageConfig& config) {
  const bool has_paths = !config.text_list("eval_paths").empty();
  const bool has_samples = config.integer("sample_every") > 0;
  if (has_samples && !has_paths) {
    throw config.error("sample_every",
                       "there are no held-out documents to be continued; give eval_paths");
  }
  if (!has_samples && !config.text("samples").empty()) {
    throw config.error("samples", "gets nothing without sample_every");
  }
}

Batches read_held_out(const StageConfig& config, const DeviceStageContext& context) {
  if (!context.read_batches) {
    throw std::logic_error("nothing was given that reads the shards of eval_paths");
  }
  try {
    Batches batches =
        context.read_batches(config.text_list("eval_paths"), config.integer("eval_batches"));
    for (const auto& batch : batches) {
      for (const Segment& segment : batch->segments) {
        context.files.add_input(*segment.shard);
      }
    }
    if (batches.empty()) {
      throw std::runtime_error("there is no document in them");
    }
    return batches;
  } catch (const std::exception& error) {
    throw config.error("eval_paths", full_message(error));
  }
}

// Samples go to the file, if there is one, and to whoever listens to the run.
std::function<void(const TextSample&)> sample_receiver(const StageConfig& config,
                                                       const DeviceStageContext& context) {
  std::string path = config.text("samples");
  std::shared_ptr<LineFile> file;
  if (!path.empty()) {
    if (!context.resume_folder.empty()) {
      path = continued_path(path, context.first_batch);
    }
    try {
      context.files.add_output(path);
      file = std::make_shared<LineFile>(path);
    } catch (const std::runtime_error& error) {
      throw config.error("samples", error.what());
    }
  }
  return [file, tell = context.tell](const TextSample& sample) {
    if (file) {
      file->add(to_json(sample));
    }
    if (tell) {
      tell({{"step", sample.step},
            {"prompt", sample.prompt},
            {"predicted", sample.predicted},
            {"reference", sample.reference}});
    }
  };
}

std::unique_ptr<TextSampler> make_sampler(const StageConfig& config,
                                          const DeviceStageContext& context,
                                          const Batches& batches,
                                          TransformerTrainer& trainer) {
  std::vector<TokenText> documents = sampled_documents(batches);
  if (documents.empty()) {
    throw config.error("sample_every",
                       "of the held-out documents that were read none begins with " +
                           std::to_string(kSamplePromptTokens + kSampleTokens) +
                           " tokens in a row; raise eval_batches or sequence_length");
  }
  const StreamInfo& stream = context.stream;
  if (!stream.decoder || !stream.vocabulary_size) {
    throw config.error("sample_every", "no stage before this one can turn ids into text");
  }
  GeneratorOptions options;
  options.max_prompts = std::ssize(documents);
  options.max_length = kSamplePromptTokens + kSampleTokens;
  options.vocabulary = *stream.vocabulary_size;
  return std::make_unique<TextSampler>(trainer.make_generator(options),
                                       std::move(documents),
                                       stream.decoder,
                                       sample_receiver(config, context));
}

}  // namespace

std::vector<Option> held_out_options() {
  return {
      Option::text_list("eval_paths",
                        "Held-out shards, as the option paths of read takes them. They are read "
                        "as the others are, once, before training. Empty is none.")
          .or_else(std::vector<std::string>()),
      Option::integer("eval_batches",
                      "How many batches of the held-out shards are evaluated, the same every time. "
                      "They stay in the device's memory.")
          .in_range(1, 100'000)
          .or_else(std::int64_t{8}),
      Option::integer("eval_every", "After how many steps they are evaluated.")
          .in_range(1, 1e9)
          .or_else(std::int64_t{100}),
      Option::integer("sample_every",
                      "After how many steps the model continues the beginnings of held-out "
                      "documents; 0 is never.")
          .in_range(0, 1e9)
          .or_else(std::int64_t{0}),
      Option::text("samples",
                   "Path of a JSON-lines file, in a folder that exists, that gets step, prompt, "
                   "predicted and reference of each of them, as the run goes on. The first one "
                   "replaces an older file. Empty is none; a run folder gets them in any case.")
          .or_else(std::string()),
  };
}

HeldOut::HeldOut(const StageConfig& config,
                 const DeviceStageContext& context,
                 TransformerTrainer& trainer)
    : eval_every_(config.integer("eval_every")), sample_every_(config.integer("sample_every")) {
  check_options(config);
  if (config.text_list("eval_paths").empty()) {
    return;
  }
  const Batches batches = read_held_out(config, context);
  for (const auto& batch : batches) {
    std::unique_ptr<StagingSlot> slot = context.device->make_slot(context.shape);
    const DeviceBatch on_device = slot->upload(*batch);
    kept_.push_back({std::move(slot), on_device});
  }
  if (sample_every_ > 0) {
    sampler_ = make_sampler(config, context, batches, trainer);
  }
}

void HeldOut::enqueue(std::int64_t step, TransformerTrainer& trainer, DeviceStream stream) {
  if (step % eval_every_ == 0) {
    for (const Kept& kept : kept_) {
      trainer.evaluate(kept.batch, stream);
    }
  }
  if (sampler_ && step % sample_every_ == 0) {
    sampler_->enqueue(step, stream);
  }
}

void HeldOut::pass_on() {
  if (sampler_) {
    sampler_->pass_on();
  }
}

void HeldOut::finish() {
  if (sampler_) {
    sampler_->finish();
  }
}

}  // namespace penstock::gpu
