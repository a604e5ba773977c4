#include "gpu/host/parallel_blocks.h"

#include <algorithm>

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

namespace penstock::gpu {

struct ParallelBlocks::Arena {
  oneapi::tbb::task_arena tasks;
};

ParallelBlocks::ParallelBlocks(int threads)
    : arena_(std::make_unique<Arena>(oneapi::tbb::task_arena(threads))) {}

ParallelBlocks::~ParallelBlocks() = default;

void ParallelBlocks::run(std::int64_t count,
                         std::int64_t block,
                         const std::function<void(std::int64_t, std::int64_t)>& work) const {
  const std::int64_t num_blocks = (count + block - 1) / block;
  arena_->tasks.execute([&] {
    oneapi::tbb::parallel_for(std::int64_t{0}, num_blocks, [&](std::int64_t i) {
      work(i * block, std::min((i + 1) * block, count));
    });
  });
}

}  // namespace penstock::gpu
