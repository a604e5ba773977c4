#pragma once

#include <fstream>
#include <string>

#include "gpu/device_stage.h"

namespace penstock::gpu {

// A JSON-lines file of reports: an object a line, `batches` and the report's figures by name (null
// for NaN). Each line is written through before add() returns, so a crash loses at most the line
// being written. Used by one thread at a time.
class ReportFile {
 public:
  // Empties the file. Throws FileError.
  explicit ReportFile(std::string path);
  void add(const Report& report);

 private:
  const std::string path_;
  std::ofstream file_;
};

}  // namespace penstock::gpu
