#include "report/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "report/row_format.h"

namespace penstock {
namespace {

template <typename Row, typename Format>
std::vector<std::string> lines_of(const std::vector<Row>& rows, const Format& format) {
  std::vector<std::string> lines;
  std::transform(rows.begin(), rows.end(), std::back_inserter(lines), format);
  return lines;
}

template <typename Parse>
auto read_rows(const std::string& path, const Parse& parse) {
  std::vector<decltype(parse(std::string()))> rows;
  for (const std::string& line : read_json_array_lines(path)) {
    try {
      rows.push_back(parse(line));
    } catch (const std::runtime_error& error) {
      throw FileError("'" + path + "', row " + std::to_string(rows.size() + 1) + ": " +
                      error.what());
    }
  }
  return rows;
}

std::string write_csv(const std::string& path, const RunData& kept) {
  AtomicFile file(path);
  file.write(metrics_csv_head() + '\n');
  for (const MetricsRow& row : kept.metrics) {
    file.write(metrics_csv(row) + '\n');
  }
  file.commit();
  return path;
}

}  // namespace

std::vector<std::string> run_folder_files() {
  return {RunFolder::kMetrics,
          RunFolder::kMetricsCsv,
          RunFolder::kOccupancy,
          RunFolder::kSamples,
          RunFolder::kSummary,
          RunFolder::kReport};
}

void make_run_folder(const RunFolder& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder.path, error);
  if (error) {
    throw FileError("cannot make the run folder '" + folder.path + "': " + error.message());
  }
}

RunData read_run_data(const RunFolder& folder) {
  return {read_rows(folder.file(RunFolder::kMetrics), parse_metrics),
          read_rows(folder.file(RunFolder::kOccupancy), parse_occupancy),
          read_rows(folder.file(RunFolder::kSamples), parse_sample)};
}

RunData up_to_step(RunData data, std::int64_t step) {
  const auto last = std::find_if(data.metrics.rbegin(), data.metrics.rend(), [&](const auto& row) {
    return row.step <= static_cast<double>(step);
  });
  const double time = last == data.metrics.rend() ? 0 : last->time;
  data.metrics.erase(last.base(), data.metrics.end());
  data.occupancy.erase(std::find_if(data.occupancy.begin(),
                                    data.occupancy.end(),
                                    [&](const OccupancyRow& row) { return row.time > time; }),
                       data.occupancy.end());
  data.samples.erase(std::remove_if(data.samples.begin(),
                                    data.samples.end(),
                                    [&](const TextSample& sample) { return sample.step > step; }),
                     data.samples.end());
  return data;
}

RunFolderWriter::RunFolderWriter(const RunFolder& folder, const RunData& kept)
    : metrics_(folder.file(RunFolder::kMetrics), lines_of(kept.metrics, metrics_json)),
      metrics_csv_(write_csv(folder.file(RunFolder::kMetricsCsv), kept), std::ios::app),
      occupancy_(folder.file(RunFolder::kOccupancy), lines_of(kept.occupancy, occupancy_json)),
      samples_(folder.file(RunFolder::kSamples), lines_of(kept.samples, sample_json)),
      csv_path_(folder.file(RunFolder::kMetricsCsv)) {}

void RunFolderWriter::append(const RunData& added) {
  for (const MetricsRow& row : added.metrics) {
    metrics_.append(metrics_json(row));
    metrics_csv_ << metrics_csv(row) << '\n';
  }
  for (const OccupancyRow& row : added.occupancy) {
    occupancy_.append(occupancy_json(row));
  }
  for (const TextSample& sample : added.samples) {
    samples_.append(sample_json(sample));
  }
  if (!metrics_csv_.flush()) {
    throw FileError("cannot write '" + csv_path_ + "': " + error_text(errno));
  }
}

void RunFolderWriter::sync() {
  metrics_.sync();
  occupancy_.sync();
  samples_.sync();
}

}  // namespace penstock
