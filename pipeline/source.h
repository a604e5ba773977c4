#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "pipeline/chunk.h"
#include "pipeline/stream_position.h"

namespace penstock {

// Gives chunks in a fixed order per lane. Lanes are independent: lane l of K reads shards l, l+K,
// l+2K, ... and the pipeline deals their chunks round-robin, so the stream depends on the shard
// list and the number of lanes, never on timing. A chunk never spans two shards, and where it is
// cut depends on the content alone.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  // At least 1.
  virtual int lanes() const = 0;

  // Returns the lane's next chunk, or nothing at its end or when `stop` is requested. Each lane is
  // called by one thread at a time; different lanes are called in parallel. A damaged shard is
  // reported in the chunk's `rejects`; the error policy decides whether the run goes on, so the
  // source continues behind the damage as if it were allowed. Throws when it cannot go on at all.
  // May block on a slow file, but looks at `stop` at least every 100 ms. A parallel algorithm of
  // oneTBB inside may run other stages' work on this thread meanwhile: hold no lock across it.
  virtual std::optional<Chunk> next(int lane, const std::stop_token& stop) = 0;

  // Called before next(), by the same thread: memory to write the lane's next chunk to. What is
  // left of it belongs into ChunkInfo::spare.
  virtual void reuse(int lane, SpareMemory spare) {
    static_cast<void>(lane);
    static_cast<void>(spare);
  }

  // Where the lane's next chunk begins; the same thread as next(). Nothing where the source cannot
  // go on from a place: then runs with it have no checkpoints.
  virtual std::optional<LanePosition> position(int lane) const {
    static_cast<void>(lane);
    return std::nullopt;
  }
  // Before the lane's first next(): makes it give the chunks that follow `position`, which an equal
  // source told, as that one gives them. Where the input is not what it was, the lane's next() may
  // throw. Throws std::logic_error where position() tells nothing.
  virtual void go_on_from(int lane, const LanePosition& position);

  // Whether next() counts the time that it takes itself, in rows of its own or apart by what it
  // does. Else the pipeline counts all of it in the source's row.
  virtual bool times_itself() const { return false; }

  // Bytes to read in all (or from where it goes on), in the unit of StageMetrics::bytes_in of the
  // source's first metrics row (compressed bytes for files), or nothing where that is not known.
  // Any thread, at any time.
  virtual std::optional<std::int64_t> total_bytes() const { return std::nullopt; }
};

}  // namespace penstock
