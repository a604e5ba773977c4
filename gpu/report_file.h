#pragma once

#include <fstream>
#include <string>

#include "gpu/device_stage.h"
#include "pipeline/atomic_file.h"

namespace penstock::gpu {

// A JSON-lines file of reports: an object a line, `batches` and the report's figures by name (null
// for NaN). Each line is written through before add() returns, so a crash loses at most the line
// being written. Replaces an older file at the first report and not before, so that a run that
// never begins leaves it as it is. Used by one thread at a time.
class ReportFile {
 public:
  // Throws FileError where the file cannot be written.
  explicit ReportFile(std::string path);
  void add(const Report& report);

 private:
  void open();

  const std::string path_;
  const AtomicFile reservation_;  // never committed; keeps every other writer of the path away
  std::ofstream file_;            // open from the first report on
};

}  // namespace penstock::gpu
