#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "pipeline/atomic_file.h"

namespace penstock::gpu {

// A file of lines. Each is written through before add() returns, so a crash loses at most the line
// being written. Replaces an older file at the first line and not before, so that a run that never
// begins leaves it as it is. Used by one thread at a time.
class LineFile {
 public:
  // Throws FileError where the file cannot be written.
  explicit LineFile(std::string path);
  // The line comes without its end. Throws FileError.
  void add(std::string_view line);

 private:
  void open();

  const std::string path_;
  const AtomicFile reservation_;  // never committed; keeps every other writer of the path away
  std::ofstream file_;            // open from the first line on
};

}  // namespace penstock::gpu
