#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/chunk.h"
#include "pipeline/token_account.h"

namespace penstock {

class PendingCheckpoint;

// A stretch of one document inside one row of a batch. Segments tile the valid tokens of a batch in
// row-major order. In rows with shifted targets the overlapping last token belongs to the segment
// of the token before it.
struct Segment {
  std::int64_t begin = 0;                    // index into Batch::tokens
  std::int64_t end = 0;                      // exclusive
  std::shared_ptr<const std::string> shard;  // as in SourcePosition
  std::int64_t record = 0;                   // as in SourcePosition
  std::int64_t byte_offset = 0;              // of the record, as in SourcePosition
  std::int64_t document_token = 0;           // index of the segment's first token in its document
};

// The shape of every batch of a run.
struct BatchShape {
  std::int64_t batch_size = 0;       // rows
  std::int64_t sequence_length = 0;  // model input positions in a row
  std::int64_t row_length = 0;       // sequence_length, or sequence_length + 1 with shifted targets

  std::int64_t cells() const { return batch_size * row_length; }           // in the array of tokens
  std::int64_t positions() const { return batch_size * sequence_length; }  // of model input
};

// A fixed-shape array of token ids with its document boundaries. Immutable once assembled; sinks
// share it.
struct Batch {
  std::int64_t index = 0;            // from 0, in stream order
  std::int64_t batch_size = 0;       // rows
  std::int64_t sequence_length = 0;  // model input positions in a row
  std::int64_t row_length = 0;       // sequence_length, or sequence_length + 1 with shifted targets

  // [batch_size, row_length], row-major. Row r holds the inputs tokens[r][0, sequence_length) and,
  // with shifted targets, the targets tokens[r][1, row_length).
  std::vector<TokenId> tokens;

  // Document boundaries over the [batch_size * sequence_length] input positions, as variable-length
  // attention kernels take them: 0, then the end of each segment; every row end is a boundary;
  // padding at the end of a row is a segment of its own. The last entry is
  // batch_size * sequence_length.
  std::vector<std::int32_t> cu_seqlens;

  // Which document every valid token comes from, in row-major order.
  std::vector<Segment> segments;

  std::int64_t num_rows = 0;    // rows that hold at least one real token; the others are padding
  std::int64_t num_tokens = 0;  // cells of `tokens` that are not padding (overlaps counted)

  // Of this batch and all before it. `in` does not count the chunk that completed this batch, so
  // out - in of that one's tokens are in batches.
  TokenAccount account;
  // The checkpoint that is due behind this batch; null behind most. A sink that has a state asks
  // whether it is wanted, and adds its state then.
  std::shared_ptr<PendingCheckpoint> checkpoint;
};

// Bytes of memory that the batch occupies.
std::int64_t memory_bytes(const Batch& batch);

}  // namespace penstock
