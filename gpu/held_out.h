#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gpu/device.h"
#include "gpu/device_stage_type.h"
#include "gpu/text_sampler.h"
#include "gpu/transformer_trainer.h"

namespace penstock::gpu {

// The options of lm_train about held-out documents.
std::vector<Option> held_out_options();

// What a model is measured on while it is trained: batches of held-out shards, which stay on the
// device and are the same every time, and the beginnings of documents in them. Used by the device
// thread alone.
class HeldOut {
 public:
  // Reads the batches, in the way of the configuration, and claims the files. Nothing is held out
  // where the option eval_paths is empty. Throws ConfigError.
  HeldOut(const StageConfig& config,
          const DeviceStageContext& context,
          TransformerTrainer& trainer);

  // Enqueues what is due after a step. Never waits for the device. The trainer is that of the
  // constructor.
  void enqueue(std::int64_t step, TransformerTrainer& trainer, DeviceStream stream);
  // Writes the texts that have arrived. Never waits for the device.
  void pass_on();
  // Waits for all texts, and writes them.
  void finish();

 private:
  struct Kept {
    std::unique_ptr<StagingSlot> slot;
    DeviceBatch batch;
  };

  const std::int64_t eval_every_;
  const std::int64_t sample_every_;
  std::vector<Kept> kept_;
  std::unique_ptr<TextSampler> sampler_;  // null: there are no samples
};

}  // namespace penstock::gpu
