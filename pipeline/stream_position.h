#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/chunk.h"
#include "pipeline/token_account.h"

namespace penstock {

// Where a lane of a source reads on.
struct LanePosition {
  std::int64_t shard =
      0;                 // of the source's list, from 0; the length of the list or more at the end
  SourcePosition place;  // where the next chunk begins; names no shard at the end
};

// What shapes the stream of batches: a name such as "pack.sequence_length", and its value in words.
using StreamFingerprint = std::map<std::string, std::string>;

// What happened to the records up to some chunk, which is not counted.
struct RecordTotals {
  std::int64_t records = 0;    // as read
  std::int64_t documents = 0;  // made of records
  std::int64_t rejects = 0;    // records that were refused

  // Equal in every count.
  bool operator==(const RecordTotals&) const = default;
};

// The place in the stream behind one batch: all that a run needs to go on with exactly the next
// one. The chunk that completed the batch is read again, and its tokens that are in batches are
// passed over; so there are no tokens here, and the size depends on the number of lanes and on the
// fingerprint alone. A plain value.
struct StreamPosition {
  std::int64_t next_batch = 0;      // index of the batch to come: how many there are before it
  std::vector<LanePosition> lanes;  // of the source, from lane 0
  int turn = 0;                     // the lane that deals the next chunk
  // Of the batches before; out - in is how many tokens of the next chunk are in them.
  TokenAccount account;
  RecordTotals totals;  // up to the next chunk
  StreamFingerprint fingerprint;
};

// JSON with a version and a checksum, a few kilobytes.
std::string to_json(const StreamPosition& position);
// Throws std::runtime_error, which says what is wrong with the text but not where it came from.
StreamPosition parse_stream_position(std::string_view json);

// A sentence for each thing that shaped the stream and is another one now; none where the two are
// equal.
std::vector<std::string> differences(const StreamFingerprint& before, const StreamFingerprint& now);

}  // namespace penstock
