#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock {

// What the name of a file that is being written ends with.
constexpr std::string_view kPartialSuffix = ".partial";

// Writes a file under PATH.partial and gives it its final name only when it is whole and on disk:
// a full disk or a killed process never leaves a half-written file under the final name. One
// thread at a time. Every failure throws FileError with path and reason.
class AtomicFile {
 public:
  // Creates PATH.partial (replacing one that a killed run left behind); refuses when another
  // process is writing it, and when PATH is a directory.
  explicit AtomicFile(std::string path);
  // Removes PATH.partial unless commit() was called.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Buffered.
  void write(std::string_view bytes);
  // Overwrites bytes already written, for headers that are known only at the end.
  void write_at(std::int64_t offset, std::string_view bytes);
  // Flushes, syncs to disk and renames. Nothing may be written afterwards.
  void commit();

  const std::string& path() const { return path_; }  // the final name
  std::int64_t size() const { return size_; }        // bytes written so far

 private:
  void flush();

  const std::string path_;
  std::string partial_path_;
  int descriptor_ = -1;
  std::string buffer_;
  std::int64_t size_ = 0;
};

}  // namespace penstock
