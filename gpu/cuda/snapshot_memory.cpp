#include "gpu/cuda/snapshot_memory.h"

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "gpu/cuda/check.h"

namespace penstock::gpu {
namespace {

constexpr std::int64_t kArrays = 4;
constexpr const char* kContent = "a checkpoint of lm_train";
constexpr const char* kOption = "width or layers, or make no checkpoints";

std::size_t bytes_of(std::int64_t size) {
  return static_cast<std::size_t>(size) * sizeof(float);
}

class CudaSnapshot final : public PendingSnapshot {
 public:
  CudaSnapshot(std::shared_ptr<SnapshotMemory> memory,
               const TransformerShape& shape,
               const TransformerLayout& layout)
      : memory_(std::move(memory)), shape_(shape), layout_(layout) {}
  // What is on its way needs the memory.
  ~CudaSnapshot() override { cudaEventSynchronize(memory_->reached.get()); }

  TrainingSnapshot wait() override {
    memory_->reached.synchronize();
    TrainingState state;
    std::memcpy(&state, memory_->arrived.data() + kArrays * bytes_of(layout_.size), sizeof state);
    return {shape_,
            array(0),
            array(1),
            array(2),
            array(3),
            state.gradient_scored,
            state.totals.num_batches,
            state.totals.num_tokens,
            state.totals.bad_batch};
  }

 private:
  std::vector<float> array(std::size_t number) const {
    std::vector<float> elements(static_cast<std::size_t>(layout_.size));
    std::memcpy(elements.data(),
                memory_->arrived.data() + number * bytes_of(layout_.size),
                bytes_of(layout_.size));
    return in_layout(elements, layout_, transformer_layout(shape_, 1));
  }

  const std::shared_ptr<SnapshotMemory> memory_;
  const TransformerShape shape_;
  const TransformerLayout layout_;
};

}  // namespace

SnapshotMemory::SnapshotMemory(std::int64_t size)
    : arrays(kArrays * size, kContent, kOption),
      state(1, kContent, kOption),
      arrived(kArrays * bytes_of(size) + sizeof(TrainingState), kContent, kOption) {}

std::unique_ptr<PendingSnapshot> enqueue_to(std::shared_ptr<SnapshotMemory> memory,
                                            const TransformerShape& shape,
                                            const TransformerLayout& layout,
                                            const DeviceParameters& parameters,
                                            const TrainingState* state,
                                            cudaStream_t stream) {
  const float* const arrays[kArrays] = {parameters.parameters,
                                        parameters.first_moment,
                                        parameters.second_moment,
                                        parameters.gradient};
  const auto copy = [](void* to, const void* from, std::size_t bytes, cudaStream_t on) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, on), "cudaMemcpyAsync");
  };
  for (std::int64_t i = 0; i < kArrays; ++i) {
    copy(memory->arrays.get() + i * layout.size, arrays[i], bytes_of(layout.size), stream);
  }
  copy(memory->state.get(), state, sizeof(TrainingState), stream);
  memory->copied.record(stream);
  memory->stream.wait(memory->copied.get());
  std::byte* const arrived = memory->arrived.data();
  copy(arrived, memory->arrays.get(), memory->arrays.bytes(), memory->stream.get());
  copy(arrived + memory->arrays.bytes(),
       memory->state.get(),
       sizeof(TrainingState),
       memory->stream.get());
  memory->reached.record(memory->stream.get());
  return std::make_unique<CudaSnapshot>(std::move(memory), shape, layout);
}

}  // namespace penstock::gpu
