#include "stages/tokenizer/table_memory.h"

#include <cstdint>
#include <new>
#include <utility>

#include <sys/mman.h>

namespace penstock {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

TableMemory::TableMemory(std::size_t bytes) : size_(bytes) {
  // A huge page begins at a multiple of its size, which a mapping need not.
  const bool huge = bytes >= kHugePage;
  mapping_size_ = bytes + (huge ? kHugePage : 0);
  mapping_ =
      ::mmap(nullptr, mapping_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED) {
    throw std::bad_alloc();
  }
  data_ = mapping_;
  if (huge) {
    const auto begin = reinterpret_cast<std::uintptr_t>(mapping_);
    data_ = static_cast<char*>(mapping_) + (kHugePage - begin % kHugePage) % kHugePage;
    // Before the first touch; where it fails the pages are small and everything else is the same.
    static_cast<void>(::madvise(data_, bytes, MADV_HUGEPAGE));
  }
}

TableMemory::TableMemory(TableMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_size_(std::exchange(other.mapping_size_, 0)) {}

TableMemory& TableMemory::operator=(TableMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_size_, other.mapping_size_);
  return *this;
}

TableMemory::~TableMemory() {
  if (mapping_ != nullptr) {
    ::munmap(mapping_, mapping_size_);
  }
}

}  // namespace penstock
