#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock {

// The path that stands for standard input.
constexpr const char* kStandardInput = "-";

// One input file.
struct Shard {
  std::string path;                         // to open, or kStandardInput
  std::shared_ptr<const std::string> name;  // the path as messages show it: escaped, see below
  std::optional<std::int64_t> size;         // bytes as stored; nothing for a pipe
};

// All input files, or why there are none.
struct ShardList {
  std::vector<Shard> shards;          // in the order in which they are read
  std::vector<std::string> problems;  // one sentence each; the list is good when there are none
};

// Turns files, folders and glob(7) patterns into the list of shards, in the order of `paths`. The
// matches of a pattern and the files of a folder (regular, neither hidden nor *.partial, links
// followed) are sorted bytewise. A path that exists is taken literally, whatever characters it has.
// Looks at the files, and finds out whether they can be opened, but reads nothing.
ShardList list_shards(const std::vector<std::string>& paths);

// A path with control characters, and bytes that are not valid UTF-8, as "\x0a": fit for messages.
std::string escape_path(const std::string& path);

}  // namespace penstock
