#pragma once

namespace penstock::gpu {

// Marks what the calling thread does in its life as the wait for a staging slot, so that a profiler
// can tell it from other waits. Not nested.
class SlotWait {
 public:
  SlotWait() noexcept;
  SlotWait(const SlotWait&) = delete;
  SlotWait& operator=(const SlotWait&) = delete;
  ~SlotWait();

  // By the calling thread.
  static bool is_under_way() noexcept;
};

}  // namespace penstock::gpu
