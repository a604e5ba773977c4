#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace penstock::bench {

// The field `text` of the records of .jsonl.zst shards, up to about `max_bytes` of it. Throws
// std::runtime_error for a shard that cannot be read.
std::vector<std::string> shard_documents(const std::vector<std::string>& shards,
                                         std::size_t max_bytes);

}  // namespace penstock::bench
