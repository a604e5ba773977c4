#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace penstock {

// The files that a run reads and writes, so that no output replaces an input or another output.
// Files are told apart by device and inode, whatever the names that lead to them. Filled before the
// run, by one thread at a time.
class FileClaims {
 public:
  // Throws std::runtime_error where the file is an output already. A file that does not exist is
  // no input.
  void add_input(const std::string& path);

  // For a file that is written as an AtomicFile; its partial file is claimed with it. Throws
  // std::runtime_error where the file is an input, or an output already.
  void add_output(const std::string& path);

  // Whether the file is one that the run reads.
  bool is_input(const std::string& path) const;

 private:
  using File = std::pair<std::uint64_t, std::uint64_t>;  // device, inode

  static std::optional<File> find(const std::string& path);
  void check_against_outputs(const std::string& input) const;
  void check_against_inputs(const std::string& file, const std::string& output) const;

  std::map<File, std::string> inputs_;  // and the path that named each first
  // Partial files too: folders without links -> the path that was given.
  std::map<std::string, std::string> outputs_;
};

}  // namespace penstock
