#include "pipeline/chunk.h"

#include <cstring>
#include <utility>

namespace penstock {
namespace {

std::int64_t payload_bytes(const ByteChunk& chunk) {
  return static_cast<std::int64_t>(chunk.bytes.capacity());
}

std::int64_t payload_bytes(const DocumentChunk& chunk) {
  return static_cast<std::int64_t>(chunk.arena.size() +
                                   chunk.documents.capacity() * sizeof(Document));
}

std::int64_t payload_bytes(const TokenChunk& chunk) {
  return static_cast<std::int64_t>(chunk.ids.capacity() * sizeof(TokenId) +
                                   chunk.documents.capacity() * sizeof(TokenDocument));
}

}  // namespace

std::string to_string(const SourcePosition& position) {
  return (position.shard ? *position.shard : std::string("(generated)")) + ", record " +
         std::to_string(position.record) + ", byte " + std::to_string(position.byte_offset);
}

char* TextArena::allocate(std::size_t size) {
  ByteBuffer& block = blocks_.emplace_back(size);
  block.resize(size);
  size_ += size;
  return block.data();
}

std::string_view TextArena::store(std::string_view text) {
  char* copy = allocate(text.size());
  if (!text.empty()) {
    std::memcpy(copy, text.data(), text.size());
  }
  return {copy, text.size()};
}

void TextArena::adopt(ByteBuffer buffer) {
  size_ += buffer.capacity();
  blocks_.push_back(std::move(buffer));
}

std::int64_t memory_bytes(const Chunk& chunk) {
  std::int64_t bytes = std::visit([](const auto& held) { return payload_bytes(held); }, chunk);
  for (const Reject& reject : info(chunk).rejects) {
    bytes += static_cast<std::int64_t>(sizeof(Reject) + reject.raw.capacity() +
                                       reject.reason.capacity());
  }
  return bytes;
}

}  // namespace penstock
