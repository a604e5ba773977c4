#include "gpu/report_file.h"

#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

namespace penstock::gpu {

ReportFile::ReportFile(std::string path) : file_(std::move(path)) {}

void ReportFile::add(const Report& report) {
  nlohmann::ordered_json line = {{"batches", report.num_batches}};
  for (const Result& figure : report.figures) {
    std::visit([&](const auto& value) { line[figure.name] = value; }, figure.value);
  }
  file_.add(line.dump());
}

}  // namespace penstock::gpu
