#include "gpu/cuda/readback.h"

#include <utility>

#include "gpu/cuda/check.h"

namespace penstock::gpu {

Readback::Readback(std::size_t max_bytes, std::size_t depth, const std::string& content) {
  places_.reserve(depth);
  for (std::size_t i = 0; i < depth; ++i) {
    places_.emplace_back(max_bytes, content);
  }
}

void Readback::enqueue(const std::byte* source, std::size_t bytes, cudaStream_t stream) {
  if (on_their_way_ == places_.size()) {
    wait_for_oldest();
  }
  Place& place = places_[(oldest_ + on_their_way_) % places_.size()];
  check(cudaMemcpyAsync(place.memory.data(), source, bytes, cudaMemcpyDeviceToHost, stream),
        "cudaMemcpyAsync");
  place.copied.record(stream);
  place.bytes = bytes;
  ++on_their_way_;
}

std::optional<std::vector<std::byte>> Readback::next() {
  if (!arrived_.empty()) {
    std::vector<std::byte> result = std::move(arrived_.front());
    arrived_.pop_front();
    return result;
  }
  if (on_their_way_ == 0 || !places_[oldest_].copied.done()) {
    return std::nullopt;
  }
  return take();
}

void Readback::wait() {
  while (on_their_way_ > 0) {
    wait_for_oldest();
  }
}

void Readback::wait_for_oldest() {
  places_[oldest_].copied.synchronize();
  arrived_.push_back(take());
}

std::vector<std::byte> Readback::take() {
  const Place& place = places_[oldest_];
  oldest_ = (oldest_ + 1) % places_.size();
  --on_their_way_;
  return {place.memory.data(), place.memory.data() + place.bytes};
}

}  // namespace penstock::gpu
