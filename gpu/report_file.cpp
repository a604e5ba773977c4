#include "gpu/report_file.h"

#include <cerrno>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "pipeline/errors.h"

namespace penstock::gpu {

ReportFile::ReportFile(std::string path) : path_(std::move(path)), reservation_(path_) {}

void ReportFile::add(const Report& report) {
  if (!file_.is_open()) {
    open();
  }
  nlohmann::ordered_json line = {{"batches", report.num_batches}};
  for (const Result& figure : report.figures) {
    std::visit([&](const auto& value) { line[figure.name] = value; }, figure.value);
  }
  file_ << line << std::endl;
  if (!file_) {
    throw FileError("cannot write '" + path_ + "': " + error_text(errno));
  }
}

// As a rename would, this replaces a link instead of writing to the file behind it.
void ReportFile::open() {
  const bool removed = ::unlink(path_.c_str()) == 0 || errno == ENOENT;
  if (removed) {
    file_.open(path_);
  }
  if (!file_.is_open()) {
    throw FileError("cannot replace '" + path_ + "': " + error_text(errno));
  }
}

}  // namespace penstock::gpu
