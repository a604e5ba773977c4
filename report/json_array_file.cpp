#include "report/json_array_file.h"

#include <cerrno>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "report/json_text.h"

namespace penstock {
namespace {

constexpr std::string_view kOpening = "[";
constexpr std::string_view kClosing = "\n]\n";

[[noreturn]] void throw_error(const std::string& operation, const std::string& path) {
  throw FileError("cannot " + operation + " '" + path + "': " + error_text(errno));
}

void write_at(int descriptor,
              std::string_view bytes,
              std::int64_t offset,
              const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      throw_error("write", path);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += written;
  }
}

}  // namespace

JsonArrayFile::JsonArrayFile(std::string path, const std::vector<std::string>& elements)
    : path_(std::move(path)) {
  AtomicFile file(path_);
  file.write(kOpening);
  for (const std::string& element : elements) {
    file.write(is_empty_ ? "\n" : ",\n");
    file.write(element);
    is_empty_ = false;
  }
  end_ = file.size();
  file.write(kClosing);
  file.commit();
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    throw_error("open", path_);
  }
}

JsonArrayFile::~JsonArrayFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void JsonArrayFile::append(std::string_view element) {
  std::string bytes = is_empty_ ? "\n" : ",\n";
  bytes += element;
  const auto length = static_cast<std::int64_t>(bytes.size());
  bytes += kClosing;
  try {
    write_at(descriptor_, bytes, end_, path_);
  } catch (const FileError&) {
    close_again();
    throw;
  }
  end_ += length;
  is_empty_ = false;
}

// After a write that failed. There was room for the bracket before; if there is none now, readers
// leave out the line that was cut off.
void JsonArrayFile::close_again() noexcept {
  if (::ftruncate(descriptor_, end_) == 0) {
    try {
      write_at(descriptor_, kClosing, end_, path_);
    } catch (const FileError&) {
    }
  }
}

void JsonArrayFile::sync() {
  if (::fdatasync(descriptor_) != 0) {
    throw_error("sync", path_);
  }
}

std::vector<std::string> read_json_array_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  if (!file) {
    if (errno == ENOENT) {
      return lines;
    }
    throw_error("open", path);
  }
  std::string line;
  bool is_cut_off = false;
  std::getline(file, line);  // the opening bracket
  while (std::getline(file, line) && line != "]") {
    if (is_cut_off) {
      throw FileError("'" + path + "' is no history of a run: its line " +
                      std::to_string(lines.size() + 2) + " is no JSON object");
    }
    if (!line.empty() && line.back() == ',') {
      line.pop_back();
    }
    is_cut_off = line.size() < 2 || line.front() != '{' || line.back() != '}';
    if (!is_cut_off) {
      lines.push_back(std::move(line));
    }
  }
  if (file.bad()) {
    throw_error("read", path);
  }
  if (!is_cut_off && !lines.empty() && !is_json(lines.back())) {
    lines.pop_back();
  }
  return lines;
}

}  // namespace penstock
