#pragma once

#include <cstdint>
#include <string>

namespace penstock {

// Where a run that goes on with batch `next_batch` writes what the run before it wrote to `path`:
// "folder/name.from-batch-1000.jsonl" for "folder/name.jsonl". The earlier file stays as it is.
std::string continued_path(const std::string& path, std::int64_t next_batch);

}  // namespace penstock
