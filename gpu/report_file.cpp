#include "gpu/report_file.h"

#include <cerrno>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "pipeline/errors.h"

namespace penstock::gpu {

ReportFile::ReportFile(std::string path) : path_(std::move(path)), file_(path_, std::ios::trunc) {
  if (!file_) {
    throw FileError("cannot open '" + path_ + "': " + error_text(errno));
  }
}

void ReportFile::add(const Report& report) {
  nlohmann::ordered_json line = {{"batches", report.num_batches}};
  for (const Result& figure : report.figures) {
    std::visit([&](const auto& value) { line[figure.name] = value; }, figure.value);
  }
  file_ << line << std::endl;
  if (!file_) {
    throw FileError("cannot write '" + path_ + "': " + error_text(errno));
  }
}

}  // namespace penstock::gpu
