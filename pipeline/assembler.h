#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/chunk.h"
#include "pipeline/token_account.h"

namespace penstock {

// Packs token chunks, which arrive in stream order, into batches of a fixed shape; keeps the
// remainder. Used by one thread at a time.
class BatchAssembler {
 public:
  BatchAssembler() = default;
  BatchAssembler(const BatchAssembler&) = delete;
  BatchAssembler& operator=(const BatchAssembler&) = delete;
  virtual ~BatchAssembler() = default;

  // Appends to `full` the batches that the chunk completes, in order.
  virtual void add(const TokenChunk& chunk, std::vector<Batch>& full) = 0;
  // Nobody needs this batch any more: its memory may go into one to come.
  virtual void reuse(Batch batch) { static_cast<void>(batch); }
  // The stream is over: appends what is left, padded or dropped as configured.
  virtual void finish(std::vector<Batch>& full) = 0;
  virtual TokenAccount account() const = 0;

  // Whether it fills in Batch::account and knows go_on_from().
  virtual bool can_resume() const { return false; }
  // Before the first add(): the batches before `next_batch` were made by an earlier run, and the
  // next chunk is the one that completed the last of them, with `account` as the batch had it:
  // account.out - account.in of the chunk's tokens are in batches. Throws std::logic_error where it
  // cannot be.
  virtual void go_on_from(std::int64_t next_batch, const TokenAccount& account);
};

}  // namespace penstock
