#pragma once

#include <map>
#include <string>
#include <vector>

#include "pipeline/chunk.h"

namespace penstock::testing {

// The texts of a .jsonl.zst shard, by zstd's one-shot call and nlohmann-json, a line at a time:
// nothing of Penstock's own stages.
std::vector<std::string> shard_texts(const std::string& path);

// EncodeAsIds of each shard's documents by the SentencePiece library, concatenated in shard and
// record order.
std::vector<TokenId> reference_ids(const std::vector<std::string>& shards,
                                   const std::string& model);

// Shards and models: those of the repository, and with PENSTOCK_TEST_DATA set those in that folder.
std::vector<std::string> sample_shards();
std::vector<std::string> corpus_shards();  // empty without PENSTOCK_TEST_DATA
std::vector<std::string> models();

}  // namespace penstock::testing
