#include "pipeline/atomic_file.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/errors.h"

namespace penstock {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
  throw FileError("cannot write '" + path + "': " + reason);
}

[[noreturn]] void fail(const std::string& path, int error) {
  fail(path, std::generic_category().message(error));
}

// Repeats a system call while signals interrupt it.
template <typename Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) {
    result = call();
  }
  return result;
}

// Owns a file descriptor, or -1.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) {
      ::close(value_);
    }
  }
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

void refuse_what_is_not_a_file(const std::string& path) {
  if (path.empty()) {
    fail(path, "the path is empty");
  }
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) {
    return;
  }
  fail(path, S_ISDIR(status.st_mode) ? "it is a folder" : "it is not a regular file");
}

void lock(int descriptor, const std::string& path, const std::string& partial_path) {
  if (uninterrupted([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); }) == 0) {
    return;
  }
  if (errno == EWOULDBLOCK) {
    fail(path,
         "another run, or another stage of this run, is writing it ('" + partial_path +
             "' is locked)");
  }
  // Some cluster file systems are mounted without locks: better unprotected than unusable.
  if (errno != ENOSYS && errno != EOPNOTSUPP) {
    fail(path, errno);
  }
}

bool is_named(int descriptor, const std::string& path) {
  struct stat opened = {};
  struct stat named = {};
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Returns a descriptor of the locked, empty file `partial_path`. The file is emptied only under the
// lock. Who held the lock before may have renamed or removed the file since it was opened here;
// then what was opened is no longer ours to touch.
int open_partial(const std::string& path, const std::string& partial_path) {
  while (true) {
    Descriptor file(uninterrupted([&] {
      return ::open(partial_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    }));
    if (file.get() < 0) {
      const int error = errno;
      if (error == ENOENT) {
        fail(path, "the folder '" + folder_of(path) + "' does not exist; create it first");
      }
      fail(path, error);
    }
    lock(file.get(), path, partial_path);
    if (!is_named(file.get(), partial_path)) {
      continue;
    }
    if (uninterrupted([&] { return ::ftruncate(file.get(), 0); }) != 0) {
      fail(path, errno);
    }
    return file.release();
  }
}

void write_all(int descriptor,
               std::int64_t offset,
               std::string_view bytes,
               const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        uninterrupted([&] { return ::pwrite(descriptor, bytes.data(), bytes.size(), offset); });
    if (written <= 0) {
      fail(path, written < 0 ? errno : EIO);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += written;
  }
}

// Makes a rename in `folder` durable, where the system lets us.
void sync_folder(const std::string& folder, const std::string& path) {
  const Descriptor descriptor(
      uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (descriptor.get() < 0) {
    if (errno == EACCES) {
      return;  // a folder can be writable and not readable
    }
    fail(path, errno);
  }
  if (uninterrupted([&] { return ::fsync(descriptor.get()); }) != 0 && errno != EINVAL) {
    fail(path, errno);  // EINVAL: a file system that has nothing to sync for a folder
  }
}

}  // namespace

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), partial_path_(path_ + std::string(kPartialSuffix)) {
  refuse_what_is_not_a_file(path_);
  buffer_.reserve(kBufferBytes);
  descriptor_ = open_partial(path_, partial_path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    ::unlink(partial_path_.c_str());  // before the lock is given up by closing
    ::close(descriptor_);
  }
}

void AtomicFile::write(std::string_view bytes) {
  if (descriptor_ < 0) {
    throw std::logic_error("'" + path_ + "' was written to after its commit");
  }
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    flush();
  }
  if (bytes.size() < kBufferBytes) {
    buffer_.append(bytes);
  } else {
    write_all(descriptor_, size_, bytes, path_);
  }
  size_ += static_cast<std::int64_t>(bytes.size());
}

void AtomicFile::write_at(std::int64_t offset, std::string_view bytes) {
  if (descriptor_ < 0 || offset < 0 || offset + static_cast<std::int64_t>(bytes.size()) > size_) {
    throw std::logic_error("'" + path_ + "': only bytes already written can be overwritten");
  }
  flush();
  write_all(descriptor_, offset, bytes, path_);
}

void AtomicFile::commit() {
  if (descriptor_ < 0) {
    throw std::logic_error("'" + path_ + "' was committed twice");
  }
  flush();
  if (uninterrupted([&] { return ::fsync(descriptor_); }) != 0) {
    fail(path_, errno);
  }
  if (std::rename(partial_path_.c_str(), path_.c_str()) != 0) {
    fail(path_, errno);
  }
  ::close(std::exchange(descriptor_, -1));
  sync_folder(folder_of(path_), path_);
}

// Writes at a known offset, so that after a failure the same bytes can be written again.
void AtomicFile::flush() {
  write_all(descriptor_, size_ - static_cast<std::int64_t>(buffer_.size()), buffer_, path_);
  buffer_.clear();
}

}  // namespace penstock
