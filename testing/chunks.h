#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/batch.h"
#include "pipeline/chunk.h"

namespace penstock::testing {

// Chunks as stages before would have made them: the first byte of their shard is their position,
// and record n is the n-th of what was given, from 1.
ByteChunk byte_chunk(std::string_view bytes, const std::string& shard = "test.jsonl");
DocumentChunk document_chunk(const std::vector<std::string>& texts,
                             const std::string& shard = "test.jsonl");
TokenChunk token_chunk(const std::vector<std::vector<TokenId>>& documents,
                       const std::string& shard = "test.jsonl");

// [rows, row_length] without padding, all of it one document a row. Rows must be of equal length,
// else std::invalid_argument.
Batch batch_of(const std::vector<std::vector<TokenId>>& rows, std::int64_t index = 0);

// The opposite direction: what a chunk or batch holds, for comparison.
std::vector<std::string> texts_of(const DocumentChunk& chunk);
std::vector<std::vector<TokenId>> tokens_of(const TokenChunk& chunk);
std::vector<std::vector<TokenId>> rows_of(const Batch& batch);

}  // namespace penstock::testing
