#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gpu/adamw.h"
#include "gpu/host/host_transformer.h"
#include "gpu/host/parallel_blocks.h"
#include "gpu/transformer.h"
#include "gpu/transformer_trainer.h"

namespace penstock::gpu {

// Trains on the host. Everything is done when a call returns.
class HostTrainer final : public TransformerTrainer {
 public:
  // `parameters` in the layout for a row_step of 1; `tile` positions have logits at a time.
  HostTrainer(const TransformerShape& shape,
              const AdamWOptions& optimizer,
              std::vector<float> parameters,
              std::int64_t num_positions,
              std::int64_t tile,
              int threads);

  void train(const DeviceBatch& batch,
             const std::optional<AdamWStep>& step,
             DeviceStream stream) override;
  void evaluate(const DeviceBatch& batch, DeviceStream stream) override;
  void enqueue_totals(DeviceStream stream) override;
  std::optional<TrainingTotals> next_totals() override;
  void wait_for_totals() override {}
  std::vector<float> read_parameters() override { return parameters_; }
  void load(const TrainingSnapshot& snapshot) override;
  void reserve_snapshot() override {}
  std::unique_ptr<PendingSnapshot> enqueue_snapshot(DeviceStream stream) override;
  std::unique_ptr<Generator> make_generator(const GeneratorOptions& options) override;
  std::optional<std::int64_t> memory_bytes() const override { return std::nullopt; }

  std::span<const float> parameters() const { return parameters_; }
  std::span<const float> gradient() const { return gradient_; }

 private:
  void update(const AdamWStep& step);
  double gradient_norm() const;  // of the sum of the losses
  void note_bad(std::int64_t position);

  const TransformerShape shape_;
  const AdamWOptions optimizer_;
  const TransformerLayout layout_;
  const int threads_;
  const ParallelBlocks parallel_;
  HostTransformer transformer_;
  std::vector<float> parameters_;
  std::vector<float> gradient_;       // of the sum of the losses since the last step
  std::int64_t gradient_scored_ = 0;  // how many losses
  std::vector<float> first_moment_;
  std::vector<float> second_moment_;
  TrainingTotals totals_;
  std::deque<TrainingTotals> arrived_;
};

}  // namespace penstock::gpu
