#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace penstock::gpu {

// Runs loops in blocks of a fixed size on several threads, so that what each block computes does
// not depend on how many threads there are. Used by one thread at a time.
class ParallelBlocks {
 public:
  explicit ParallelBlocks(int threads);
  ~ParallelBlocks();

  // Calls work(begin, end) for every block of [0, count), in any order and several at a time, and
  // returns when all are done. Rethrows what one of them threw.
  void run(std::int64_t count,
           std::int64_t block,
           const std::function<void(std::int64_t begin, std::int64_t end)>& work) const;

 private:
  struct Arena;
  std::unique_ptr<Arena> arena_;
};

}  // namespace penstock::gpu
