#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/stage_registry.h"

namespace penstock {

// A checkpoint is a folder with the file position.json, a subfolder for each sink that has a state,
// and files.json, a checksum of each of these files. It has its name only when it is whole and on
// disk.

// "batch-000000001000", the name of the checkpoint behind the first `next_batch` batches.
std::string checkpoint_name(std::int64_t next_batch);

// The names in `folder` that only whole checkpoints have, with the batch that comes next, oldest
// first. Throws FileError where the folder cannot be read.
std::vector<std::pair<std::int64_t, std::string>> list_checkpoints(const std::string& folder);

// Reads and checks every file of it. Throws FileError, which says what is wrong with it.
ResumePoint read_checkpoint(const std::string& path);

struct FoundCheckpoint {
  ResumePoint point;
  std::vector<std::string> warnings;  // of later checkpoints that are damaged, a sentence each
};
// The last checkpoint of a folder that is not damaged. Throws FileError where there is none.
FoundCheckpoint latest_checkpoint(const std::string& folder);
// The checkpoint `path`, or the last one in it.
FoundCheckpoint find_checkpoint(const std::string& path);

}  // namespace penstock
