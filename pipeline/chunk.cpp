#include "pipeline/chunk.h"

#include <algorithm>
#include <cstddef>
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

ByteChunk copy_of(const ByteChunk& chunk) {
  ByteChunk copy;
  static_cast<ChunkInfo&>(copy) = chunk;
  copy.bytes.reserve(chunk.bytes.size());
  copy.bytes.append(chunk.bytes.view());
  copy.delimiter = chunk.delimiter;
  return copy;
}

DocumentChunk copy_of(const DocumentChunk& chunk) {
  DocumentChunk copy;
  static_cast<ChunkInfo&>(copy) = chunk;
  copy.documents = chunk.documents;
  std::size_t size = 0;
  for (const Document& document : chunk.documents) {
    size += document.text.size();
  }
  char* place = copy.arena.allocate(size);
  for (Document& document : copy.documents) {
    std::copy(document.text.begin(), document.text.end(), place);
    document.text = {place, document.text.size()};
    place += document.text.size();
  }
  return copy;
}

TokenChunk copy_of(const TokenChunk& chunk) {
  return chunk;
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

std::int64_t content_bytes(const Chunk& chunk) {
  if (const auto* bytes = std::get_if<ByteChunk>(&chunk)) {
    return std::ssize(bytes->bytes.view());
  }
  std::int64_t sum = 0;
  if (const auto* documents = std::get_if<DocumentChunk>(&chunk)) {
    for (const Document& document : documents->documents) {
      sum += std::ssize(document.text);
    }
  }
  return sum;
}

Chunk copy_of(const Chunk& chunk) {
  return std::visit([](const auto& held) { return Chunk(copy_of(held)); }, chunk);
}

}  // namespace penstock
