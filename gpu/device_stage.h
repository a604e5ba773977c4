#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/pending_checkpoint.h"
#include "pipeline/sink.h"

namespace penstock::gpu {

// A batch as it lies in a device's memory; see Batch for the meaning of the shapes. The pointers
// are device pointers, valid until the work that was enqueued on them is done. Owns nothing.
struct DeviceBatch {
  std::int64_t index = 0;                    // Batch::index
  BatchShape shape;                          // the same for every batch of a run
  std::int64_t num_tokens = 0;               // cells that are not padding
  const TokenId* tokens = nullptr;           // [batch_size, row_length]
  const std::int32_t* cu_seqlens = nullptr;  // [num_segments + 1]
  std::int64_t num_segments = 0;             // at most shape.positions()
  // [batch_size] cells of each row that are not padding; padding stands at a row's end.
  const std::int32_t* row_tokens = nullptr;

  // Index of the batch's first input position in the whole stream.
  std::int64_t first_position() const { return index * shape.positions(); }
};

// What a device stage has found so far.
struct Report {
  std::int64_t num_batches = 0;  // from the first one of the run
  std::vector<Result> figures;   // as for Sink::results()
};

// A queue of work on a device: a cudaStream_t on CUDA; null on the host backend, where the work is
// done when enqueue() returns.
struct DeviceStream {
  void* handle = nullptr;  // the cudaStream_t, or null
};

// What runs on a device for each batch. Enqueues work and returns nothing that needs waiting for.
class DeviceStage {
 public:
  DeviceStage() = default;
  DeviceStage(const DeviceStage&) = delete;
  DeviceStage& operator=(const DeviceStage&) = delete;
  virtual ~DeviceStage() = default;

  // The batch as the pipeline hands it over, before it is copied. In stream order, by one thread at
  // a time that is not the device thread. For stages that compare what arrives with what was sent.
  virtual void hand_over(const Batch& batch) { static_cast<void>(batch); }
  // The batch as it arrives on the device, in stream order, on the device thread. Never waits for
  // the device.
  virtual void enqueue(const DeviceBatch& batch, DeviceStream stream) = 0;
  // Enqueues the way back to the host of what has been found up to the batch that was enqueued
  // last. Called every `report_every` batches of the stream. Never waits for the device.
  virtual void enqueue_report(DeviceStream stream) { static_cast<void>(stream); }
  // The next report that has come back, in order; nothing where there is none (yet). Never waits
  // for the device.
  virtual std::optional<Report> next_report() { return std::nullopt; }
  // Whether it has a state that checkpoints must hold; always the same answer. When a run goes on
  // from a checkpoint, its factory finds the state in DeviceStageContext::resume_folder.
  virtual bool saves() const { return false; }
  // Enqueues the way back to the host of the state as it is behind the batch that was enqueued
  // last. Where saves() is true, called when a checkpoint is due; not again before what writes the
  // one before has returned. Never waits for the device.
  virtual void enqueue_save(DeviceStream stream) { static_cast<void>(stream); }
  // What writes the state that was asked for last, once it has come back; nothing where it has not
  // yet, or was given already. Never waits for the device.
  virtual std::optional<CheckpointPart> next_save() { return std::nullopt; }
  // Waits for what was enqueued and tells what all of it gave. After the last enqueue, on the
  // device thread. The reports and the state that are still to come have come back then.
  virtual std::vector<Result> results() = 0;
};

}  // namespace penstock::gpu
