#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "pipeline/chunk.h"
#include "pipeline/stream_position.h"

namespace penstock {

// A chunk on its way through the graph.
struct LaneChunk {
  int lane = 0;
  std::int64_t index = 0;   // in its lane, from 0
  bool last = false;        // the lane's end; carries no payload
  LanePosition behind;      // where the lane reads on; only where checkpoints are made
  std::int64_t charge = 0;  // bytes of its lane's budget that it holds
  Chunk chunk;
  std::exception_ptr failure;  // what a stage threw: told when its turn in the stream comes
};

// oneTBB wants messages that can be copied; the payload is touched by the one node that has it.
using ChunkMessage = std::shared_ptr<LaneChunk>;

// Restores the stream order of chunks that arrive in any order: deals them round-robin over the
// lanes that still have chunks, in lane order, so the order depends on nothing but the source.
// One thread at a time.
class ChunkOrder {
 public:
  // `turn` is the lane that deals first.
  explicit ChunkOrder(int lanes, int turn = 0);

  // Takes a chunk that arrived. Throws std::logic_error for a place that was there already.
  void add(ChunkMessage message);
  // The next chunk of the stream (a lane's end included), or null while it has not arrived.
  ChunkMessage next();
  // The lane that is asked first for the next chunk.
  int turn() const { return static_cast<int>(turn_); }
  // Every lane's end has been dealt.
  bool finished() const { return open_lanes_ == 0; }

 private:
  struct Lane {
    std::vector<ChunkMessage> waiting;  // a ring: index modulo size, null where none has arrived
    std::int64_t next_index = 0;
    bool ended = false;
  };

  static ChunkMessage& place(Lane& lane, std::int64_t index);

  std::vector<Lane> lanes_;
  std::size_t turn_;
  std::size_t open_lanes_;
};

}  // namespace penstock
