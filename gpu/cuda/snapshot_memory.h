#pragma once

#include <cstdint>
#include <memory>

#include <cuda_runtime_api.h>

#include "gpu/cuda/handles.h"
#include "gpu/cuda/transformer_kernels.h"
#include "gpu/training_snapshot.h"
#include "gpu/transformer.h"

namespace penstock::gpu {

// Where a snapshot is on its way to the host: a copy on the device, which takes the stream of the
// training no longer than memory can be read, and page-locked memory, to which a stream of its own
// brings it while training goes on.
struct SnapshotMemory {
  // Of arrays of `size` elements.
  explicit SnapshotMemory(std::int64_t size);

  DeviceArray<float> arrays;  // parameters, first and second moment, gradient
  DeviceArray<TrainingState> state;
  PinnedBuffer arrived;  // the arrays, and the state behind them
  Stream stream;
  Event copied;   // to the device arrays
  Event reached;  // the host
};

// Enqueues the way to the host of what lies in `parameters` and in `state`. The memory is in nobody
// else's hands.
std::unique_ptr<PendingSnapshot> enqueue_to(std::shared_ptr<SnapshotMemory> memory,
                                            const TransformerShape& shape,
                                            const TransformerLayout& layout,
                                            const DeviceParameters& parameters,
                                            const TrainingState* state,
                                            cudaStream_t stream);

}  // namespace penstock::gpu
