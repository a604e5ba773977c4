#pragma once

#include <string>

#include "pipeline/batch.h"

namespace penstock {

// Changes batches between the assembler and the sinks. Gets them in stream order, one thread at a
// time; it works on the assembler's node of the graph, so what it takes is not in parallel with
// packing. Every batch goes on, because a run tells sinks of all of them.
class BatchStage {
 public:
  BatchStage() = default;
  BatchStage(const BatchStage&) = delete;
  BatchStage& operator=(const BatchStage&) = delete;
  virtual ~BatchStage() = default;

  // Returns the batch with the same index and of the shape that StreamInfo::batch_shape has behind
  // this stage: the factory sets it where it changes the shape. An exception ends the run.
  virtual Batch process(Batch batch) = 0;

  // Why a run cannot go on from a checkpoint with this stage; empty where it can, because what
  // becomes of a batch depends on no batch before it.
  virtual std::string why_not_resumable() const {
    return "the batch stage does not say that it remembers nothing of earlier batches";
  }
};

}  // namespace penstock
