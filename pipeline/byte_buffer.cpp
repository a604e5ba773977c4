#include "pipeline/byte_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock {

ByteBuffer::ByteBuffer(ByteBuffer&& other) noexcept
    : bytes_(std::move(other.bytes_)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

ByteBuffer& ByteBuffer::operator=(ByteBuffer&& other) noexcept {
  bytes_ = std::move(other.bytes_);
  size_ = std::exchange(other.size_, 0);
  capacity_ = std::exchange(other.capacity_, 0);
  return *this;
}

void ByteBuffer::reserve(std::size_t capacity) {
  if (capacity <= capacity_ && bytes_) {
    return;
  }
  auto bytes = std::make_unique_for_overwrite<char[]>(capacity + kPadding);
  if (size_ > 0) {
    std::memcpy(bytes.get(), bytes_.get(), size_);
  }
  bytes_ = std::move(bytes);
  capacity_ = capacity;
}

void ByteBuffer::resize(std::size_t size) {
  if (size > capacity_) {
    reserve(std::max(size, capacity_ + capacity_ / 2));
  }
  size_ = size;
}

void ByteBuffer::append(std::string_view bytes) {
  if (bytes.empty()) {
    return;
  }
  const std::size_t old_size = size_;
  resize(old_size + bytes.size());
  std::memcpy(bytes_.get() + old_size, bytes.data(), bytes.size());
}

}  // namespace penstock
