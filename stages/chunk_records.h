#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/chunk.h"

namespace penstock {

// One record of a chunk, without its '\n'.
struct ChunkRecord {
  std::string_view bytes;
  std::int64_t record = 0;       // as in SourcePosition
  std::int64_t byte_offset = 0;  // as in SourcePosition
};

// Gives the records of a ByteChunk one by one with their numbers and offsets in the shard. Steps
// over the numbers and bytes of records that the reader refused and left out of the chunk: they are
// in the chunk's rejects. Blank records (space, tab, CR and LF only) are counted, not given. The
// chunk's bytes must stay alive and unmoved in memory; moving the ByteBuffer object is fine.
class ChunkRecords {
 public:
  explicit ChunkRecords(const ByteChunk& chunk);

  std::optional<ChunkRecord> next();

 private:
  struct LeftOut {
    std::int64_t record = 0;
    std::int64_t bytes = 0;  // without the line end
  };

  void step_over_left_out();
  std::size_t record_length() const;

  const std::string_view bytes_;
  const RecordDelimiter delimiter_;
  std::vector<LeftOut> left_out_;  // by record
  std::size_t next_left_out_ = 0;
  std::size_t at_ = 0;
  std::int64_t record_;
  std::int64_t byte_offset_;
};

}  // namespace penstock
