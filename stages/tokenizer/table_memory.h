#pragma once

#include <cstddef>

namespace penstock {

// Owns zeroed memory for a table that is read at random: on huge pages where the system gives them,
// which spares most misses of the TLB. Pages that are never touched take no memory. Move-only.
class TableMemory {
 public:
  TableMemory() = default;
  // Aligned to 64 bytes at least. Throws std::bad_alloc.
  explicit TableMemory(std::size_t bytes);
  TableMemory(TableMemory&& other) noexcept;
  TableMemory& operator=(TableMemory&& other) noexcept;
  TableMemory(const TableMemory&) = delete;
  TableMemory& operator=(const TableMemory&) = delete;
  ~TableMemory();

  void* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
  void* mapping_ = nullptr;
  std::size_t mapping_size_ = 0;
};

}  // namespace penstock
