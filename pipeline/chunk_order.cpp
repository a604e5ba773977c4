#include "pipeline/chunk_order.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace penstock {

ChunkOrder::ChunkOrder(int lanes, int turn)
    : lanes_(static_cast<std::size_t>(lanes)),
      turn_(static_cast<std::size_t>(turn)),
      open_lanes_(lanes_.size()) {}

void ChunkOrder::add(ChunkMessage message) {
  Lane& lane = lanes_.at(static_cast<std::size_t>(message->lane));
  const std::int64_t index = message->index;
  if (index < lane.next_index || place(lane, index)) {
    throw std::logic_error("chunk " + std::to_string(index) + " of a lane arrived twice");
  }
  place(lane, index) = std::move(message);
}

// Makes the ring larger where it does not reach as far as `index`, which is not before next_index.
ChunkMessage& ChunkOrder::place(Lane& lane, std::int64_t index) {
  const auto reach = static_cast<std::size_t>(index - lane.next_index) + 1;
  const auto size = lane.waiting.size();
  if (reach > size) {
    std::vector<ChunkMessage> larger(std::max(reach, 2 * size));
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t at = static_cast<std::size_t>(lane.next_index) + i;
      larger[at % larger.size()] = std::move(lane.waiting[at % size]);
    }
    lane.waiting = std::move(larger);
  }
  return lane.waiting[static_cast<std::size_t>(index) % lane.waiting.size()];
}

ChunkMessage ChunkOrder::next() {
  if (finished()) {
    return nullptr;
  }
  while (lanes_[turn_].ended) {
    turn_ = (turn_ + 1) % lanes_.size();
  }
  Lane& lane = lanes_[turn_];
  ChunkMessage message = std::exchange(place(lane, lane.next_index), nullptr);
  if (!message) {
    return nullptr;
  }
  ++lane.next_index;
  turn_ = (turn_ + 1) % lanes_.size();
  if (message->last) {
    lane.ended = true;
    --open_lanes_;
  }
  return message;
}

}  // namespace penstock
