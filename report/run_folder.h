#pragma once

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "report/json_array_file.h"
#include "report/run_data.h"

namespace penstock {

// The files of a run folder; docs/run-folder.md describes them.
struct RunFolder {
  static constexpr const char* kMetrics = "metrics_history.json";
  static constexpr const char* kMetricsCsv = "metrics_history.csv";
  static constexpr const char* kOccupancy = "occupancy_history.json";
  static constexpr const char* kSamples = "text_samples.json";
  static constexpr const char* kSummary = "summary.json";
  static constexpr const char* kReport = "report.html";

  std::string path;

  std::string file(const std::string& name) const { return path + "/" + name; }
};

// All that a run writes into the folder.
std::vector<std::string> run_folder_files();

// Makes the folder where there is none. Throws FileError.
void make_run_folder(const RunFolder& folder);

// The history that the files hold; a last line that a crash cut off is left out. Throws FileError
// for what cannot be read and for what is no history.
RunData read_run_data(const RunFolder& folder);

// What was before or at the step, for a run that goes on behind it.
RunData up_to_step(RunData data, std::int64_t step);

// Appends to the history in a run folder. One thread at a time.
class RunFolderWriter {
 public:
  // What the folder holds becomes `kept`. Throws FileError.
  RunFolderWriter(const RunFolder& folder, const RunData& kept);

  // Throws FileError.
  void append(const RunData& added);

  // What was appended is on disk then. Takes as long as the disk does. Throws FileError.
  void sync();

 private:
  JsonArrayFile metrics_;
  std::ofstream metrics_csv_;
  JsonArrayFile occupancy_;
  JsonArrayFile samples_;
  const std::string csv_path_;
};

}  // namespace penstock
