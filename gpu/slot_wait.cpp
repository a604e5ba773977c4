#include "gpu/slot_wait.h"

namespace penstock::gpu {
namespace {

thread_local bool waits = false;

}  // namespace

SlotWait::SlotWait() noexcept {
  waits = true;
}

SlotWait::~SlotWait() {
  waits = false;
}

bool SlotWait::is_under_way() noexcept {
  return waits;
}

}  // namespace penstock::gpu
