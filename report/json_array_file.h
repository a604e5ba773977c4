#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

// Writes a JSON array with an element a line that is whole after every append: one pwrite replaces
// the closing bracket by the new element and a bracket behind it. So whoever reads the file finds
// an array, and a crash in the midst of a write loses that element at most. So does a full disk:
// the array of the elements before stays. One thread at a time. Every failure throws FileError.
class JsonArrayFile {
 public:
  // Replaces an older file, in one step, by the array of `elements`, each of them JSON in one line.
  JsonArrayFile(std::string path, const std::vector<std::string>& elements);
  ~JsonArrayFile();
  JsonArrayFile(const JsonArrayFile&) = delete;
  JsonArrayFile& operator=(const JsonArrayFile&) = delete;

  void append(std::string_view element);
  // What was appended is on disk then.
  void sync();

 private:
  void close_again() noexcept;

  const std::string path_;
  int descriptor_ = -1;
  std::int64_t end_ = 0;  // of the last element: where the closing bracket's line break is
  bool is_empty_ = true;
};

// The elements of such a file, each as its line. A last line that is no whole JSON object is left
// out, for it was cut off; elements that are none before it are for the caller to find. Throws
// FileError where the file cannot be read; nothing where there is none.
std::vector<std::string> read_json_array_lines(const std::string& path);

}  // namespace penstock
