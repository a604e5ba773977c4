#include "testing/chunks.h"

#include <cstddef>
#include <iterator>
#include <memory>
#include <stdexcept>

namespace penstock::testing {
namespace {

template <typename Payload>
Payload begin_chunk(const std::string& shard, std::int64_t num_records) {
  Payload chunk;
  chunk.position.shard = std::make_shared<const std::string>(shard);
  chunk.num_records = num_records;
  return chunk;
}

}  // namespace

ByteChunk byte_chunk(std::string_view bytes, const std::string& shard) {
  auto chunk = begin_chunk<ByteChunk>(shard, 0);
  chunk.bytes.append(bytes);
  return chunk;
}

DocumentChunk document_chunk(const std::vector<std::string>& texts, const std::string& shard) {
  auto chunk = begin_chunk<DocumentChunk>(shard, std::ssize(texts));
  std::int64_t record = 0;
  std::int64_t byte_offset = 0;
  for (const std::string& text : texts) {
    chunk.documents.push_back({chunk.arena.store(text), ++record, byte_offset});
    byte_offset += std::ssize(text) + 1;
  }
  return chunk;
}

TokenChunk token_chunk(const std::vector<std::vector<TokenId>>& documents,
                       const std::string& shard) {
  auto chunk = begin_chunk<TokenChunk>(shard, std::ssize(documents));
  std::int64_t record = 0;
  for (const std::vector<TokenId>& ids : documents) {
    const std::int64_t byte_offset = std::ssize(chunk.ids);
    chunk.ids.insert(chunk.ids.end(), ids.begin(), ids.end());
    chunk.documents.push_back({std::ssize(chunk.ids), ++record, byte_offset});
  }
  return chunk;
}

Batch batch_of(const std::vector<std::vector<TokenId>>& rows, std::int64_t index) {
  Batch batch;
  batch.index = index;
  batch.batch_size = std::ssize(rows);
  batch.row_length = rows.empty() ? 0 : std::ssize(rows[0]);
  batch.sequence_length = batch.row_length;
  batch.cu_seqlens.push_back(0);
  const auto shard = std::make_shared<const std::string>("test.jsonl");
  for (const std::vector<TokenId>& row : rows) {
    if (std::ssize(row) != batch.row_length) {
      throw std::invalid_argument("the rows of a batch are of equal length");
    }
    Segment segment;
    segment.begin = std::ssize(batch.tokens);
    batch.tokens.insert(batch.tokens.end(), row.begin(), row.end());
    segment.end = std::ssize(batch.tokens);
    segment.shard = shard;
    segment.record = std::ssize(batch.segments) + 1;
    batch.segments.push_back(std::move(segment));
    batch.cu_seqlens.push_back(static_cast<std::int32_t>(batch.tokens.size()));
  }
  batch.num_rows = batch.batch_size;
  batch.num_tokens = std::ssize(batch.tokens);
  return batch;
}

std::vector<std::string> texts_of(const DocumentChunk& chunk) {
  std::vector<std::string> texts;
  for (const Document& document : chunk.documents) {
    texts.emplace_back(document.text);
  }
  return texts;
}

std::vector<std::vector<TokenId>> tokens_of(const TokenChunk& chunk) {
  std::vector<std::vector<TokenId>> documents;
  std::int64_t begin = 0;
  for (const TokenDocument& document : chunk.documents) {
    documents.emplace_back(chunk.ids.begin() + begin, chunk.ids.begin() + document.end);
    begin = document.end;
  }
  return documents;
}

std::vector<std::vector<TokenId>> rows_of(const Batch& batch) {
  std::vector<std::vector<TokenId>> rows;
  for (std::int64_t row = 0; row < batch.batch_size; ++row) {
    const auto begin = batch.tokens.begin() + row * batch.row_length;
    rows.emplace_back(begin, begin + batch.row_length);
  }
  return rows;
}

}  // namespace penstock::testing
