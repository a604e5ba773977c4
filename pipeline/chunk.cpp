#include "pipeline/chunk.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

// Of one buffer or vector: what a chunk of usual size needs, and some more.
constexpr std::size_t kMostSpareBytes = std::size_t{1} << 20;

// Texts with escapes and texts without.
constexpr std::size_t kUsualBlocks = 2;

template <typename T>
void keep_larger(std::vector<T>& kept, std::vector<T> offered) {
  if (offered.capacity() > kept.capacity() && offered.capacity() * sizeof(T) <= kMostSpareBytes) {
    offered.clear();
    kept = std::move(offered);
  }
}

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

// Every stage's output is counted, so additions do not wait for each other.
std::int64_t text_bytes(const std::vector<Document>& documents) {
  std::array<std::int64_t, 4> sums{};
  std::size_t i = 0;
  for (; i + sums.size() <= documents.size(); i += sums.size()) {
    for (std::size_t k = 0; k < sums.size(); ++k) {
      sums[k] += std::ssize(documents[i + k].text);
    }
  }
  for (; i < documents.size(); ++i) {
    sums[0] += std::ssize(documents[i].text);
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

}  // namespace

ByteBuffer SpareMemory::take_buffer(std::size_t capacity) {
  for (ByteBuffer& buffer : buffers_) {
    if (buffer.capacity() >= capacity && buffer.capacity() <= capacity + capacity / 4) {
      return std::move(buffer);
    }
  }
  return ByteBuffer(capacity);
}

void SpareMemory::keep(ByteBuffer buffer) {
  const auto smallest = std::min_element(
      buffers_.begin(), buffers_.end(), [](const ByteBuffer& a, const ByteBuffer& b) {
        return a.capacity() < b.capacity();
      });
  if (buffer.capacity() > smallest->capacity() && buffer.capacity() <= kMostSpareBytes) {
    buffer.clear();
    *smallest = std::move(buffer);
  }
}

void SpareMemory::keep(std::vector<Document> documents) {
  keep_larger(documents_, std::move(documents));
}

void SpareMemory::keep(std::vector<TokenDocument> documents) {
  keep_larger(token_documents_, std::move(documents));
}

void SpareMemory::keep(std::vector<TokenId> ids) {
  keep_larger(ids_, std::move(ids));
}

void SpareMemory::keep(SpareMemory other) {
  for (ByteBuffer& buffer : other.buffers_) {
    keep(std::move(buffer));
  }
  keep(std::move(other.documents_));
  keep(std::move(other.token_documents_));
  keep(std::move(other.ids_));
}

bool SpareMemory::is_empty() const {
  return buffers_[0].capacity() == 0 && buffers_[1].capacity() == 0 && documents_.capacity() == 0 &&
         token_documents_.capacity() == 0 && ids_.capacity() == 0;
}

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
  if (blocks_.empty()) {
    blocks_.reserve(kUsualBlocks);
  }
  blocks_.push_back(std::move(buffer));
}

void TextArena::release_to(SpareMemory& spare) {
  for (ByteBuffer& block : blocks_) {
    spare.keep(std::move(block));
  }
  blocks_.clear();
  size_ = 0;
}

void release(ByteChunk& chunk, SpareMemory& spare) {
  spare.keep(std::move(chunk.bytes));
}

void release(DocumentChunk& chunk, SpareMemory& spare) {
  chunk.arena.release_to(spare);
  spare.keep(std::move(chunk.documents));
}

void release(TokenChunk& chunk, SpareMemory& spare) {
  spare.keep(std::move(chunk.ids));
  spare.keep(std::move(chunk.documents));
}

SpareMemory release(Chunk chunk) {
  SpareMemory spare = std::move(info(chunk).spare);
  std::visit([&spare](auto& held) { release(held, spare); }, chunk);
  return spare;
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
  const auto* documents = std::get_if<DocumentChunk>(&chunk);
  return documents != nullptr ? text_bytes(documents->documents) : 0;
}

Chunk copy_of(const Chunk& chunk) {
  return std::visit([](const auto& held) { return Chunk(copy_of(held)); }, chunk);
}

}  // namespace penstock
