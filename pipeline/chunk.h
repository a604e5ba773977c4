#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "pipeline/byte_buffer.h"

namespace penstock {

using TokenId = std::uint32_t;

// Says where something came from. Every error, every reject and every batch speaks in it.
struct SourcePosition {
  std::shared_ptr<const std::string> shard;  // path as configured; null only for generated chunks
  std::int64_t record = 1;       // ordinal in the shard, from 1: the line number of JSON lines
  std::int64_t byte_offset = 0;  // in the decompressed stream of the shard, from 0
};

// "part-007.jsonl.zst, record 1200, byte 104857600"
std::string to_string(const SourcePosition& position);

// A record that a stage refused, on its way to the error policy (see error_policy.h). Rejects
// travel with their chunk, so they are judged in stream order whatever the timing was.
struct Reject {
  SourcePosition position;     // of the record
  std::string reason;          // one sentence without a final stop
  std::string raw;             // the record as it was read; may be cut, see raw_bytes
  std::int64_t raw_bytes = 0;  // length of the whole record
  std::string stage;           // filled in by the pipeline
};

// One text, valid UTF-8, as a view into its chunk's arena.
struct Document {
  std::string_view text;         // valid as long as the chunk
  std::int64_t record = 0;       // as in SourcePosition
  std::int64_t byte_offset = 0;  // of the record, as in SourcePosition
};

// One document's tokens end (exclusive) at `end` in TokenChunk::ids and begin where the previous
// one's end.
struct TokenDocument {
  std::int64_t end = 0;          // index into TokenChunk::ids, exclusive
  std::int64_t record = 0;       // as in SourcePosition
  std::int64_t byte_offset = 0;  // of the record, as in SourcePosition
};

// Memory that chunks which are over have left to those to come, so that a run allocates none once
// it is under way. Travels with a chunk: continue_chunk() passes it on and takes from it what the
// next payload needs. A copy of a chunk has none. Empty is fine: what is not there is allocated.
class SpareMemory {
 public:
  SpareMemory() = default;
  // Memory moves along, and is not copied.
  SpareMemory(SpareMemory&&) noexcept = default;
  SpareMemory& operator=(SpareMemory&&) noexcept = default;
  SpareMemory(const SpareMemory&) {}
  SpareMemory& operator=(const SpareMemory&) { return *this; }
  ~SpareMemory() = default;

  // An empty buffer with room for `capacity` bytes, and not much more: capacity is what memory
  // credits count.
  ByteBuffer take_buffer(std::size_t capacity);
  void keep(ByteBuffer buffer);
  // Nothing in them but capacity.
  std::vector<Document> take_documents() { return std::exchange(documents_, {}); }
  void keep(std::vector<Document> documents);
  std::vector<TokenDocument> take_token_documents() { return std::exchange(token_documents_, {}); }
  void keep(std::vector<TokenDocument> documents);
  std::vector<TokenId> take_ids() { return std::exchange(ids_, {}); }
  void keep(std::vector<TokenId> ids);
  // What is left in `other` and not here.
  void keep(SpareMemory other);

  // There is none.
  bool is_empty() const;

 private:
  std::array<ByteBuffer, 2> buffers_;
  std::vector<Document> documents_;
  std::vector<TokenDocument> token_documents_;
  std::vector<TokenId> ids_;
};

// What every chunk carries. A chunk is the unit of work: about 256 KiB of text, never one document.
struct ChunkInfo {
  SourcePosition position;       // of the chunk's first byte
  std::int64_t num_records = 0;  // as read, the refused and the blank ones included
  std::vector<Reject> rejects;   // in stream order per stage
  SpareMemory spare;             // not counted by memory credits
};

// How records are told apart in a ByteChunk.
enum class RecordDelimiter {
  kLine,  // a record ends at '\n' (or at the end of the chunk)
  kFile,  // the chunk is one record: a whole shard
};

// Decompressed bytes of one shard, cut at record ends.
struct ByteChunk : ChunkInfo {
  // Whole records of the shard, as they follow each other there.
  ByteBuffer bytes;
  RecordDelimiter delimiter = RecordDelimiter::kLine;
};

// Owns the text of a chunk's documents. Views into it stay valid while it lives, moves included.
class TextArena {
 public:
  // Returns room for `size` bytes, uninitialised, with ByteBuffer::kPadding readable bytes behind.
  char* allocate(std::size_t size);
  // Keeps a copy of `text` and returns the view of it.
  std::string_view store(std::string_view text);
  // Takes a whole buffer; views into it stay valid.
  void adopt(ByteBuffer buffer);
  // Bytes held.
  std::size_t size() const noexcept { return size_; }
  // Lets go of the text; the memory may be worth keeping.
  void release_to(SpareMemory& spare);

 private:
  std::vector<ByteBuffer> blocks_;
  std::size_t size_ = 0;
};

// Documents of one shard, in record order. A stage may drop, replace (store the new text in the
// arena) or add documents, and reports refused ones in `rejects`.
struct DocumentChunk : ChunkInfo {
  // The texts are views into the arena, or live as long as it.
  std::vector<Document> documents;
  TextArena arena;
};

// Token ids of the documents of one shard, concatenated. Documents without tokens are kept.
struct TokenChunk : ChunkInfo {
  // The ids of all documents, and where each document ends in them.
  std::vector<TokenId> ids;
  std::vector<TokenDocument> documents;
};

using Chunk = std::variant<ByteChunk, DocumentChunk, TokenChunk>;

inline const ChunkInfo& info(const Chunk& chunk) {
  return std::visit([](const auto& held) -> const ChunkInfo& { return held; }, chunk);
}
inline ChunkInfo& info(Chunk& chunk) {
  return std::visit([](auto& held) -> ChunkInfo& { return held; }, chunk);
}

// Bytes of memory that the chunk's payload occupies: what byte credits are counted in.
std::int64_t memory_bytes(const Chunk& chunk);

// Bytes of what the stages are about: raw bytes, or the text of documents. Nothing for tokens.
std::int64_t content_bytes(const Chunk& chunk);

// A copy that shares nothing with `chunk` but the name of the shard, with no room to spare.
Chunk copy_of(const Chunk& chunk);

// Moves position, record count, rejects and spare memory from one payload to the next: what a
// Transform that changes the payload type begins with.
template <typename To, typename From>
To continue_chunk(From& from) {
  To to;
  static_cast<ChunkInfo&>(to) = std::move(static_cast<ChunkInfo&>(from));
  if constexpr (std::is_same_v<To, DocumentChunk>) {
    to.documents = to.spare.take_documents();
  } else if constexpr (std::is_same_v<To, TokenChunk>) {
    to.ids = to.spare.take_ids();
    to.documents = to.spare.take_token_documents();
  }
  return to;
}

// The chunk is over: its memory goes to `spare`.
void release(ByteChunk& chunk, SpareMemory& spare);
void release(DocumentChunk& chunk, SpareMemory& spare);
void release(TokenChunk& chunk, SpareMemory& spare);
// The same, what the chunk carries for others included.
SpareMemory release(Chunk chunk);

}  // namespace penstock
