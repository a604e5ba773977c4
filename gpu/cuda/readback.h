#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "gpu/cuda/handles.h"

namespace penstock::gpu {

// Brings results back from the device in order, while the device goes on. Pinned memory and events
// are allocated once.
class Readback {
 public:
  // Up to `depth` results of at most `max_bytes` are on their way at the same time. `content` is
  // what they are, for errors.
  Readback(std::size_t max_bytes, std::size_t depth, const std::string& content);

  // Enqueues a copy of device memory. Waits only where `depth` copies are on their way: for the
  // oldest of them.
  void enqueue(const std::byte* source, std::size_t bytes, cudaStream_t stream);
  // The oldest result that has arrived and was not taken yet. Never waits.
  std::optional<std::vector<std::byte>> next();
  // Waits until everything that was enqueued has arrived.
  void wait();

 private:
  struct Place {
    Place(std::size_t max_bytes, const std::string& content) : memory(max_bytes, content) {}
    PinnedBuffer memory;
    Event copied;
    std::size_t bytes = 0;
  };

  // Of the oldest copy that is on its way, which is done.
  std::vector<std::byte> take();
  void wait_for_oldest();

  std::vector<Place> places_;
  std::size_t oldest_ = 0;  // of places_
  std::size_t on_their_way_ = 0;
  std::deque<std::vector<std::byte>> arrived_;  // older than what is on its way
};

}  // namespace penstock::gpu
