#pragma once

#include <string>

#include "gpu/device_stage.h"
#include "gpu/line_file.h"

namespace penstock::gpu {

// A JSON-lines file of reports: an object a line, `batches` and the report's figures by name (null
// for NaN). See LineFile. Used by one thread at a time.
class ReportFile {
 public:
  // Throws FileError where the file cannot be written.
  explicit ReportFile(std::string path);
  void add(const Report& report);

 private:
  LineFile file_;
};

}  // namespace penstock::gpu
