#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pipeline/chunk.h"

namespace penstock {

struct CutOptions {
  RecordDelimiter delimiter = RecordDelimiter::kLine;
  std::size_t chunk_size = 0;
  std::size_t max_document = 0;
};

// Cuts the text of one shard after the other into chunks. The text is written straight into the
// buffer of the chunk under way, by turns of room() and add(). Holds that one chunk; grows beyond a
// chunk's usual size only for a record that is longer. See read.h for where a chunk ends.
class RecordCutter {
 public:
  explicit RecordCutter(const CutOptions& options) : options_(options) {}

  // With the record that begins at `place`, which is the shard's first or behind a chunk of it.
  void begin_shard(SourcePosition place);
  // Where the chunk under way begins.
  const SourcePosition& position() const { return chunk_.position; }
  // Memory for the next chunk, which carries on what it does not need.
  void reuse(SpareMemory spare) { spare_ = std::move(spare); }
  // Where the shard's next bytes belong; never empty. Only while no chunk is complete.
  std::span<char> room();
  // `size` bytes have been written to the front of room().
  void add(std::size_t size);

  bool is_complete() const { return is_complete_; }
  // The complete chunk. What was added beyond it may make the next one complete.
  ByteChunk take_chunk();

  // The shard is over, and no chunk complete. What is left, if there is anything.
  std::optional<ByteChunk> end_shard();
  // The shard cannot be read on, and no chunk is complete: the whole records that are left, and a
  // reject for the one at which it stopped, of which there may be no byte yet.
  ByteChunk break_off(std::string reason);

 private:
  void begin_chunk();
  void cut();
  void cut_plain(std::size_t end);
  void cut_record();
  void skip_too_long();
  void reject_too_long();
  void count_records(std::int64_t count, std::int64_t length);
  std::size_t plain_end() const;
  std::size_t find_newline(std::size_t from) const;
  std::size_t usual_capacity() const;
  void drop(std::size_t begin, std::size_t end);
  void make_room();
  void begin_buffer();

  const CutOptions options_;
  ByteChunk chunk_;                 // being filled; what lies behind its records goes to the next
  SourcePosition record_;           // where the record under way begins
  std::size_t record_begin_ = 0;    // the same in chunk_.bytes
  std::size_t cut_end_ = 0;         // bytes of the chunk that have been looked at
  std::optional<Reject> too_long_;  // the record under way, if it has become too long
  SpareMemory spare_;               // for the next chunk
  ByteBuffer small_;                // for what a chunk leaves to the next
  bool is_complete_ = false;
};

}  // namespace penstock
