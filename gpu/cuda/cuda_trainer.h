#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "gpu/adamw.h"
#include "gpu/cuda/cuda_transformer.h"
#include "gpu/cuda/handles.h"
#include "gpu/cuda/readback.h"
#include "gpu/cuda/snapshot_memory.h"
#include "gpu/cuda/transformer_kernels.h"
#include "gpu/device_stage_type.h"
#include "gpu/transformer.h"
#include "gpu/transformer_trainer.h"

namespace penstock::gpu {

// Trains on a CUDA device. Everything is allocated, loaded and recorded by the constructor; a batch
// is then one kernel that takes it over and one graph.
class CudaTrainer final : public TransformerTrainer {
 public:
  // `parameters` in the layout for a row_step of 1; `tile` positions have logits at a time. The
  // totals of up to `max_in_flight` batches are on their way back before the next one waits.
  CudaTrainer(const TransformerShape& shape,
              const AdamWOptions& optimizer,
              const std::vector<float>& parameters,
              const BatchShape& batch,
              std::int64_t tile,
              std::int64_t max_in_flight);

  void train(const DeviceBatch& batch,
             const std::optional<AdamWStep>& step,
             DeviceStream stream) override;
  void evaluate(const DeviceBatch& batch, DeviceStream stream) override;
  void enqueue_totals(DeviceStream stream) override;
  std::optional<TrainingTotals> next_totals() override;
  void wait_for_totals() override { totals_.wait(); }
  std::vector<float> read_parameters() override;
  void load(const TrainingSnapshot& snapshot) override;
  void reserve_snapshot() override;
  std::unique_ptr<PendingSnapshot> enqueue_snapshot(DeviceStream stream) override;
  std::unique_ptr<Generator> make_generator(const GeneratorOptions& options) override;
  std::optional<std::int64_t> memory_bytes() const override;

 private:
  void upload(const std::vector<float>& parameters, const Stream& stream);
  // Runs every kernel on a batch of padding, which changes nothing.
  void warm_up(const BatchShape& batch, const Stream& stream);
  void enqueue_batch(bool takes_step, cudaStream_t stream);
  DevicePositions positions() const;
  DeviceParameters parameters() const;

  const TransformerShape shape_;
  const AdamWOptions optimizer_;
  const TransformerLayout layout_;
  const std::int64_t num_positions_;

  DeviceArray<float> parameters_;
  DeviceArray<Bf16> rounded_;
  DeviceArray<float> gradient_;
  DeviceArray<float> first_moment_;
  DeviceArray<float> second_moment_;
  DeviceArray<double> partial_squares_;
  DeviceArray<TrainingState> state_;
  DeviceArray<std::uint32_t> tokens_;
  DeviceArray<std::int32_t> targets_;
  DeviceArray<std::int32_t> begins_;
  DeviceArray<std::int32_t> ends_;
  DeviceArray<std::int32_t> cu_seqlens_;
  DeviceArray<std::int32_t> num_segments_;
  CudaTransformer transformer_;
  Readback totals_;
  std::shared_ptr<SnapshotMemory> snapshot_;  // shared with the snapshot that is in someone's hands
  std::unique_ptr<Graph> gradient_graph_;
  std::unique_ptr<Graph> step_graph_;  // with the gradient of the step's last batch
  std::unique_ptr<Graph> evaluation_graph_;
};

std::unique_ptr<DeviceStage> make_cuda_lm_train(const StageConfig& config,
                                                const DeviceStageContext& context);

}  // namespace penstock::gpu
