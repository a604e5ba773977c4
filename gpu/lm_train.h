#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gpu/adamw.h"
#include "gpu/batch_origins.h"
#include "gpu/device_stage_type.h"
#include "gpu/held_out.h"
#include "gpu/transformer.h"
#include "gpu/transformer_trainer.h"

namespace penstock::gpu {

// The device stage `lm_train`: trains a decoder-only transformer of GPT-2's architecture on every
// batch. With width C, heads of width D = C / heads, and the tensors of TransformerLayer:
//
//   x[i]  = token_embedding[token[i]] + position_embedding[i - begin[i]]
//   for every layer
//     q, k, v = norm_1(x) * attention_weight + attention_bias
//     a[i]    = for every head: sum over j = begin[i] .. i of p[j] * v[j],
//               p = softmax over j of (q[i] . k[j] / sqrt(D))
//     x       = x + a * projection_weight + projection_bias
//     x       = x + gelu(norm_2(x) * up_weight + up_bias) * down_weight + down_bias
//   logits = final_norm(x) * transpose of token_embedding
//   loss   = logsumexp(logits) - logits[target]
//
// where begin[i] is the first position of i's segment: neither attention nor positions look across
// documents or rows. norm and gelu (by tanh) are those of gpu/host/transformer_kernels.h. There is
// no dropout. Targets are those of PackedPositions. A step takes `accumulate` batches and follows
// the gradient of the mean loss of all their scored positions (see AdamWOptions), so that batches
// with few of them weigh less.
//
// The host computes in fp32. On CUDA, parameters, their gradient and the optimiser are fp32;
// matrices are multiplied in bf16 with sums in fp32, and what is kept of a position is bf16.
struct LmTrainOptions {
  TransformerShape shape;
  AdamWOptions optimizer;
  std::int64_t accumulate = 1;
  std::int64_t tile = 8192;  // positions whose logits exist at the same time
  std::uint64_t seed = 1;    // of new weights
  std::string weights;       // path of what to begin with; empty: new weights
  std::string save_weights;  // path of what the run ends with; empty: none
};

std::vector<Option> lm_train_options();
// Vocabulary and positions are those of the stream. Throws ConfigError.
LmTrainOptions read_lm_train_options(const StageConfig& config, const DeviceStageContext& context);

// What both backends begin with.
struct LmTrainBeginning {
  LmTrainOptions options;         // with the sizes of the weights that are read
  std::vector<float> parameters;  // in the layout for a row_step of 1
};
// Reads weights or makes new ones, and claims the files. Throws ConfigError.
LmTrainBeginning begin_lm_train(const StageConfig& config, const DeviceStageContext& context);

// Drives a trainer: when steps are taken, what is told of them, and what ends the run. It ends with
// an error that names step, batch and row, and the records in it, where a loss or a gradient is not
// finite, and where tokens are no ids of the vocabulary. On CUDA that is noticed some batches late;
// the parameters are left as they were before that step.
//
// A report holds step, tokens, loss, accuracy, perplexity, eval_loss, learning_rate, gradient_norm,
// tokens_per_second, flops_per_token and gpu_memory. Step and tokens count from the first batch;
// loss, accuracy and perplexity are of the positions scored since the last report; eval_loss is of
// those evaluated since; gradient_norm and learning_rate are those of the last step;
// tokens_per_second is by the device's clock, since the report before. NaN is what there is none
// of. results() are the figures since the last report, or that report's where nothing came after
// it; they also write the weights.
//
// A checkpoint holds the weights, model.safetensors, what else training goes on from,
// optimizer.safetensors, and the model that `decoder` has, tokenizer.model. Behind a loss that is
// not finite none is written. The memory for that is reserved before training where it is known
// that there will be checkpoints, else when the first one is due, which waits for the device once.
class LmTrain final : public DeviceStage {
 public:
  // Without `held_out` nothing is.
  LmTrain(const LmTrainOptions& options,
          std::unique_ptr<TransformerTrainer> trainer,
          std::unique_ptr<HeldOut> held_out = nullptr,
          std::shared_ptr<const TokenDecoder> decoder = nullptr);

  // Goes on with the batch after the snapshot. Before the first batch.
  void go_on_from(const TrainingSnapshot& snapshot);
  // What enqueue_save() needs, so that it does not run out of memory later. Waits.
  void reserve_save();

  void hand_over(const Batch& batch) override;
  void enqueue(const DeviceBatch& batch, DeviceStream stream) override;
  void enqueue_report(DeviceStream stream) override;
  std::optional<Report> next_report() override;
  bool saves() const override { return true; }
  void enqueue_save(DeviceStream stream) override;
  // What writes it waits until it has come back.
  std::optional<CheckpointPart> next_save() override;
  std::vector<Result> results() override;

 private:
  struct Sent {
    std::int64_t index = 0;      // of the batch in the stream
    std::int64_t positions = 0;  // in a row
  };

  // What goes wrong is the failure; reports of what was before come first.
  void take_totals();
  void rethrow_failure() const;
  // Where a report of the batches that the newest totals are of was asked for.
  void report_newest();
  void check(const TrainingTotals& totals) const;
  std::vector<Result> figures(const TrainingTotals& totals) const;

  const LmTrainOptions options_;
  const std::unique_ptr<TransformerTrainer> trainer_;
  const std::unique_ptr<HeldOut> held_out_;  // refers to the trainer
  const std::shared_ptr<const TokenDecoder> decoder_;
  BatchOrigins origins_;
  std::int64_t num_batches_ = 0;
  std::int64_t sequence_length_ = 0;       // of the batches
  std::deque<Sent> sent_;                  // of which no totals have come back
  std::deque<std::int64_t> asked_for_;     // reports, by the number of batches
  std::deque<Report> reports_;             // that were not taken yet
  TrainingTotals reported_;                // of the last report
  std::vector<Result> reported_figures_;   // likewise
  TrainingTotals newest_;                  // that came back
  std::exception_ptr failure_;             // after which nothing is taken
  bool can_save_ = false;                  // memory has been reserved
  bool is_saving_ = false;                 // what writes it was not taken yet
  std::shared_ptr<PendingSnapshot> save_;  // null where the memory for it was in use
};

// The stage with what the configuration holds out, going on from the checkpoint if there is one.
// Throws ConfigError, and std::runtime_error for a checkpoint that cannot be read or is of another
// model, accumulate or batch.
std::unique_ptr<DeviceStage> make_lm_train(const LmTrainOptions& options,
                                           std::unique_ptr<TransformerTrainer> trainer,
                                           const StageConfig& config,
                                           const DeviceStageContext& context);
std::unique_ptr<DeviceStage> make_host_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context);

}  // namespace penstock::gpu
