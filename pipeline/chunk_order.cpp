#include "pipeline/chunk_order.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace penstock {

ChunkOrder::ChunkOrder(int lanes)
    : lanes_(static_cast<std::size_t>(lanes)), open_lanes_(lanes_.size()) {}

void ChunkOrder::add(ChunkMessage message) {
  Lane& lane = lanes_.at(static_cast<std::size_t>(message->lane));
  const std::int64_t index = message->index;
  if (index < lane.next_index || !lane.waiting.emplace(index, std::move(message)).second) {
    throw std::logic_error("chunk " + std::to_string(index) + " of a lane arrived twice");
  }
}

ChunkMessage ChunkOrder::next() {
  if (finished()) {
    return nullptr;
  }
  while (lanes_[turn_].ended) {
    turn_ = (turn_ + 1) % lanes_.size();
  }
  Lane& lane = lanes_[turn_];
  const auto first = lane.waiting.find(lane.next_index);
  if (first == lane.waiting.end()) {
    return nullptr;
  }
  ChunkMessage message = std::move(first->second);
  lane.waiting.erase(first);
  ++lane.next_index;
  turn_ = (turn_ + 1) % lanes_.size();
  if (message->last) {
    lane.ended = true;
    --open_lanes_;
  }
  return message;
}

}  // namespace penstock
