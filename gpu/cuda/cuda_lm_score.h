#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <cuda_runtime_api.h>

#include "gpu/cuda/blas.h"
#include "gpu/cuda/handles.h"
#include "gpu/cuda/lm_score_kernels.h"
#include "gpu/cuda/readback.h"
#include "gpu/device_stage_type.h"
#include "gpu/lm_score.h"
#include "gpu/lm_weights.h"

namespace penstock::gpu {

// lm_score on CUDA. Everything is allocated, loaded and run once by the constructor; afterwards the
// device is asked for nothing but kernels and copies.
class CudaLmScore final : public DeviceStage {
 public:
  // Scores batches of this shape. Width and window are those of the weights. Where more reports
  // than that are on their way, the next one waits for the oldest.
  CudaLmScore(const LmScoreOptions& options,
              const LmWeights& weights,
              const BatchShape& shape,
              std::int64_t max_reports_in_flight = 16);

  void enqueue(const DeviceBatch& batch, DeviceStream stream) override;
  void enqueue_report(DeviceStream stream) override;
  std::optional<Report> next_report() override;
  std::vector<Result> results() override;

  // enqueue() in parts, for comparison with a decoder that goes token by token: begin(), score()
  // for every position once in stretches of any length, end(). The same kernels, and the same
  // totals but for rounding.
  void begin(const DeviceBatch& batch, DeviceStream stream);
  // Positions [first, first + count), count at most max_count().
  void score(const DeviceBatch& batch, std::int64_t first, std::int64_t count, DeviceStream stream);
  void end(const DeviceBatch& batch, DeviceStream stream);
  // Positions whose logits fit: `tile`, or as many as a batch has.
  std::int64_t max_count() const { return tile_; }

  // Device memory [positions]: the sampled token of every position of the batch that was scored
  // last; what stands at positions that are padding means nothing.
  const TokenId* samples() const { return samples_.get(); }

 private:
  // Runs every kernel on a batch of zeros, and forgets what it gave.
  void warm_up(const Stream& stream);
  void forget(const Stream& stream);
  void score_with_context(const DeviceBatch& batch, LmStretch stretch);
  LmDeviceWeights weights() const;
  LmPositions positions() const;
  LmFound* found() const;
  LmSegmentScore* segment_scores() const;
  void copy_found(Readback& readback, cudaStream_t stream) const;
  // Throws where tokens were unknown or logits not finite.
  Report report_of(const std::vector<std::byte>& bytes) const;

  const LmScoreOptions options_;
  const BatchShape shape_;
  const std::int64_t vocabulary_;
  const std::int64_t width_;
  const std::int64_t window_;
  const std::int64_t tile_;
  const std::int64_t logits_stride_;

  DeviceArray<float> logits_;  // [tile, logits_stride]
  DeviceArray<Bf16> embedding_;
  DeviceArray<Bf16> projection_;
  DeviceArray<Bf16> mix_;
  // See LmPositions.
  DeviceArray<Bf16> context_;
  DeviceArray<LmPlace> places_;
  DeviceArray<float> losses_;
  DeviceArray<float> highest_logits_;
  DeviceArray<TokenId> highest_ids_;
  DeviceArray<TokenId> samples_;
  DeviceArray<LmScoreTotals> sums_;  // [segments]
  DeviceArray<std::byte> found_;     // LmFound, then LmSegmentScore [segments]

  Blas blas_;
  Readback reports_;
  Readback last_report_;
  std::int64_t num_segments_ = 0;  // of the batch that was enqueued last
  cudaStream_t stream_ = nullptr;  // that it was enqueued on; outlives the stage
};

std::unique_ptr<DeviceStage> make_cuda_lm_score(const StageConfig& config,
                                                const DeviceStageContext& context);

}  // namespace penstock::gpu
