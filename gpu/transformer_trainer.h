#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "gpu/adamw.h"
#include "gpu/device_stage.h"
#include "gpu/generator.h"
#include "gpu/training_snapshot.h"

namespace penstock::gpu {

// What training has given from its first batch on. Plain memory, of host and device.
struct TrainingTotals {
  std::int64_t num_batches = 0;
  std::int64_t num_tokens = 0;  // input positions that are no padding
  std::int64_t num_scored = 0;
  std::int64_t num_correct = 0;  // scored positions where the target had the highest logit
  double loss_sum = 0;           // of the scored positions, nats
  std::int64_t num_evaluated = 0;
  double evaluated_loss_sum = 0;  // of the positions that were scored by evaluate()
  double gradient_norm = 0;       // of the mean loss of the last step, before it was clipped
  std::int64_t nanoseconds = 0;   // the device's clock when it had come this far
  std::int64_t num_unknown = 0;   // tokens that are no ids of the vocabulary

  // The first batch, counted from 0, that gave a loss or a gradient that is not finite, or -1. From
  // it on parameters are left as they are.
  std::int64_t bad_batch = -1;
  std::int64_t bad_position = -1;  // in it: the first one with such a loss; -1: the gradient alone
};

// Trains a transformer on one device: the backend of lm_train. Used by the device thread alone.
// Nothing here but what is said to waits for the device.
class TransformerTrainer {
 public:
  TransformerTrainer() = default;
  TransformerTrainer(const TransformerTrainer&) = delete;
  TransformerTrainer& operator=(const TransformerTrainer&) = delete;
  virtual ~TransformerTrainer() = default;

  // Adds the gradient of the batch's losses to what was added since the last step, and, with a
  // step, changes the parameters with the sum.
  virtual void train(const DeviceBatch& batch,
                     const std::optional<AdamWStep>& step,
                     DeviceStream stream) = 0;
  // Adds the batch's losses to the totals of evaluation, and changes nothing else.
  virtual void evaluate(const DeviceBatch& batch, DeviceStream stream) = 0;
  // Enqueues the way back of the totals.
  virtual void enqueue_totals(DeviceStream stream) = 0;
  // The oldest totals that have arrived and were not taken yet.
  virtual std::optional<TrainingTotals> next_totals() = 0;
  // Waits until all that were enqueued have arrived.
  virtual void wait_for_totals() = 0;

  // The parameters, in the layout for a row_step of 1. After wait_for_totals(), with nothing
  // enqueued since. Waits.
  virtual std::vector<float> read_parameters() = 0;
  // Goes on from a snapshot of a model of this shape. Before the first batch. Waits.
  virtual void load(const TrainingSnapshot& snapshot) = 0;
  // Allocates what enqueue_snapshot() needs: on CUDA device memory and page-locked memory of four
  // times the size of the parameters. Before the first batch. Waits.
  virtual void reserve_snapshot() = 0;
  // Enqueues a copy of all that training goes on from, as what was enqueued before leaves it.
  // Nothing where the last one is still in someone's hands. After reserve_snapshot().
  virtual std::unique_ptr<PendingSnapshot> enqueue_snapshot(DeviceStream stream) = 0;

  // A generator of texts with the parameters of the trainer, which outlives it. Before the first
  // batch. Waits.
  virtual std::unique_ptr<Generator> make_generator(const GeneratorOptions& options) = 0;
  // In use on the device now, by whomever; nothing on the host.
  virtual std::optional<std::int64_t> memory_bytes() const = 0;
};

}  // namespace penstock::gpu
