#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace penstock {

// Owns a growable run of bytes without initialising them. Move-only; the address of the bytes is
// stable under moves. `kPadding` bytes behind the last one can always be read (their values mean
// nothing): parsers such as simdjson read whole vectors.
class ByteBuffer {
 public:
  static constexpr std::size_t kPadding = 64;  // readable bytes behind the last one

  ByteBuffer() = default;
  // Empty, with room for `capacity` bytes. What is moved from is empty without room.
  explicit ByteBuffer(std::size_t capacity) { reserve(capacity); }
  ByteBuffer(ByteBuffer&& other) noexcept;
  ByteBuffer& operator=(ByteBuffer&& other) noexcept;
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer() = default;

  // As of std::string. The pointers are valid until the capacity changes.
  char* data() noexcept { return bytes_.get(); }
  const char* data() const noexcept { return bytes_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  bool empty() const noexcept { return size_ == 0; }
  std::string_view view() const noexcept { return {bytes_.get(), size_}; }

  // Makes room for `capacity` bytes in all; keeps the content.
  void reserve(std::size_t capacity);
  // Sets the size, within what `reserve` made room for or beyond it; new bytes are uninitialised.
  void resize(std::size_t size);
  // Appends a copy; capacity grows geometrically.
  void append(std::string_view bytes);
  void clear() noexcept { size_ = 0; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace penstock
