#pragma once

#include <cstdint>

namespace penstock::bench {

// What operator new has been asked for so far, by any thread, in a program that is linked with
// allocation_count.cpp. malloc() that is called by a C library is not seen.
struct AllocationCount {
  std::int64_t calls = 0;
  std::int64_t bytes = 0;

  static AllocationCount now();
};

}  // namespace penstock::bench
