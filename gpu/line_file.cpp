#include "gpu/line_file.h"

#include <cerrno>
#include <utility>

#include <unistd.h>

#include "pipeline/errors.h"

namespace penstock::gpu {

LineFile::LineFile(std::string path) : path_(std::move(path)), reservation_(path_) {}

void LineFile::add(std::string_view line) {
  if (!file_.is_open()) {
    open();
  }
  file_ << line << std::endl;
  if (!file_) {
    throw FileError("cannot write '" + path_ + "': " + error_text(errno));
  }
}

// As a rename would, this replaces a link instead of writing to the file behind it.
void LineFile::open() {
  const bool removed = ::unlink(path_.c_str()) == 0 || errno == ENOENT;
  if (removed) {
    file_.open(path_);
  }
  if (!file_.is_open()) {
    throw FileError("cannot replace '" + path_ + "': " + error_text(errno));
  }
}

}  // namespace penstock::gpu
