#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace penstock {

// The files that a run reads and writes, so that no output replaces an input or another output.
// Files are told apart by device and inode, whatever the names that lead to them. Filled while the
// stages are built, by one thread.
class FileClaims {
 public:
  // To be called before the outputs that may clash are added. A file that does not exist is no
  // input.
  void add_input(const std::string& path);

  // For a file that is written as an AtomicFile; its partial file is claimed with it. Throws
  // std::runtime_error where the file is an input, or an output already.
  void add_output(const std::string& path);

  bool is_input(const std::string& path) const;

 private:
  using File = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

  static std::optional<File> find(const std::string& path);
  void check_against_inputs(const std::string& file, const std::string& output) const;

  std::map<File, std::string> inputs_;  // and the path that named each first
  std::set<std::string> outputs_;       // partial files too; folders without links
};

}  // namespace penstock
