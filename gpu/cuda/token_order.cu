#include <cub/device/device_radix_sort.cuh>

#include "gpu/cuda/check.h"
#include "gpu/cuda/transformer_kernels.h"

// Apart from the other kernels, since CUB takes long to compile.
namespace penstock::gpu {
namespace {

int bits_of(std::int64_t vocabulary) {
  int bits = 1;
  while (std::int64_t{1} << bits < vocabulary) {
    ++bits;
  }
  return bits;
}

// Without memory gives the bytes that are needed.
void sort(void* memory,
          std::size_t& memory_bytes,
          const std::uint32_t* tokens,
          const TokenOrder& order,
          std::int64_t count,
          std::int64_t vocabulary,
          cudaStream_t stream) {
  check(cub::DeviceRadixSort::SortPairs(memory,
                                        memory_bytes,
                                        tokens,
                                        order.tokens,
                                        order.all,
                                        order.positions,
                                        static_cast<int>(count),
                                        0,
                                        bits_of(vocabulary),
                                        stream),
        "DeviceRadixSort");
}

}  // namespace

std::size_t order_memory_bytes(std::int64_t num_positions, std::int64_t vocabulary) {
  std::size_t bytes = 0;
  sort(nullptr, bytes, nullptr, {}, num_positions, vocabulary, nullptr);
  return bytes;
}

void order_tokens(const DevicePositions& positions,
                  std::int64_t vocabulary,
                  const TokenOrder& order,
                  cudaStream_t stream) {
  std::size_t bytes = order.memory_bytes;
  sort(order.memory, bytes, positions.tokens, order, positions.count, vocabulary, stream);
}

}  // namespace penstock::gpu
