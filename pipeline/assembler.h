#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/chunk.h"

namespace penstock {

// What became of the tokens. in == out + dropped, and the cells of all batches are
// out + repeated + padded.
struct TokenAccount {
  std::int64_t in = 0;        // tokens that came from the stages before
  std::int64_t out = 0;       // of these, the ones that are in a batch
  std::int64_t dropped = 0;   // of these, the ones that are in none (drop_last)
  std::int64_t padded = 0;    // cells filled with the pad id
  std::int64_t repeated = 0;  // cells that repeat a row's last token as the next row's first
};

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
};

}  // namespace penstock
