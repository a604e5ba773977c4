#include "pipeline/checkpoint_writer.h"

#include <cerrno>
#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "pipeline/atomic_file.h"
#include "pipeline/checkpoint_files.h"
#include "pipeline/checkpoint_folder.h"
#include "pipeline/errors.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
  throw FileError("cannot write '" + path + "': " + reason);
}

void sync(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail(path.string(), error_text(errno));
  }
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (error != 0 && error != EINVAL) {  // EINVAL: nothing to sync for a folder
    fail(path.string(), error_text(error));
  }
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    sync(entry.path());
  }
  sync(folder);
}

// Under its partial name first, so that what is left of it is never taken for a checkpoint.
void remove_checkpoint(const fs::path& path) {
  const fs::path partial = path.string() + std::string(kPartialSuffix);
  fs::rename(path, partial);
  fs::remove_all(partial);
}

// What killed runs have left behind.
void remove_partial(const std::string& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("batch-") && name.ends_with(kPartialSuffix) && entry.is_directory()) {
      fs::remove_all(entry.path());
    }
  }
}

bool is_damaged(const std::string& path) {
  try {
    read_checkpoint(path);
    return false;
  } catch (const FileError&) {
    return true;
  }
}

// Throws FileError for one that can be used. Returns the paths of those that cannot.
std::vector<std::string> damaged_later(const std::string& folder, std::int64_t next_batch) {
  std::vector<std::string> damaged;
  for (const auto& [behind, name] : list_checkpoints(folder)) {
    if (behind <= next_batch) {
      continue;
    }
    const std::string path = folder + "/" + name;
    if (!is_damaged(path)) {
      throw FileError("the folder of checkpoints '" + folder + "' holds " + name +
                      ", which is behind batch " + std::to_string(next_batch) +
                      ", with which the run is to go on: take the last one (--resume latest), or "
                      "name another folder");
    }
    damaged.push_back(path);
  }
  return damaged;
}

void check_holds_none(const std::string& folder) {
  const auto checkpoints = list_checkpoints(folder);
  if (!checkpoints.empty()) {
    throw FileError("the folder of checkpoints '" + folder +
                    "' holds those of an earlier run, the last one " + checkpoints.back().second +
                    ": go on with it (--resume latest), or name another folder");
  }
}

// So that the run can make one of the same name. Returns the new path.
std::string set_aside(const std::string& damaged) {
  std::string path = damaged + ".damaged";
  fs::remove_all(path);  // set aside before
  fs::rename(damaged, path);
  return path;
}

}  // namespace

class CheckpointWriter::Lock {
 public:
  explicit Lock(const std::string& folder) {
    std::error_code error;
    fs::create_directory(folder, error);
    if (error) {
      fail(folder, error.message());
    }
    descriptor_ = ::open((folder + "/.lock").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      fail(folder, error_text(errno));
    }
    // Some cluster file systems are mounted without locks: better unprotected than unusable.
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      fail(folder, "another run keeps its checkpoints there");
    }
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { ::close(descriptor_); }

 private:
  int descriptor_ = -1;
};

CheckpointWriter::CheckpointWriter(Options options)
    : options_(std::move(options)), lock_(std::make_unique<const Lock>(options_.folder)) {
  if (options_.next_batch == 0) {
    check_holds_none(options_.folder);
  }
  const std::vector<std::string> damaged = damaged_later(options_.folder, options_.next_batch);
  try {
    for (const std::string& path : damaged) {
      tell("the checkpoint '" + path + "' cannot be used; it is now '" + set_aside(path) + "'");
    }
    remove_partial(options_.folder);
  } catch (const fs::filesystem_error& error) {
    fail(options_.folder, error.code().message());
  }
  thread_ = std::thread([this] { run(); });
}

CheckpointWriter::~CheckpointWriter() {
  finish();
}

bool CheckpointWriter::is_due(std::int64_t batch_index) {
  return (batch_index + 1) % options_.every == 0;
}

std::shared_ptr<PendingCheckpoint> CheckpointWriter::begin(StreamPosition position,
                                                           std::size_t num_parts) {
  return std::make_shared<PendingCheckpoint>(
      std::move(position),
      num_parts,
      [this](PendingCheckpoint::Content content) { take(std::move(content)); },
      [this] { return enter(); });
}

bool CheckpointWriter::enter() {
  const std::lock_guard lock(mutex_);
  if (under_way_) {
    ++counts_.left_out;
    return false;
  }
  under_way_ = true;
  return true;
}

void CheckpointWriter::take(PendingCheckpoint::Content content) {
  {
    const std::lock_guard lock(mutex_);
    ready_ = std::move(content);
  }
  changed_.notify_one();
}

void CheckpointWriter::finish() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

CheckpointCounts CheckpointWriter::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void CheckpointWriter::run() {
  while (std::optional<PendingCheckpoint::Content> content = next_ready()) {
    const std::string name = checkpoint_name(content->position.next_batch);
    const std::string path = options_.folder + "/" + name;
    std::string error;
    try {
      write(*content, path);
    } catch (const std::exception& exception) {
      error = "the checkpoint '" + name + "' could not be written: " + full_message(exception);
      std::error_code ignored;
      fs::remove_all(path + std::string(kPartialSuffix), ignored);
    }
    // A part may hold the memory that the sink needs for the next one, and was not called where it
    // did not come to that.
    content.reset();
    count(path, error);
    remove_old();
  }
}

std::optional<PendingCheckpoint::Content> CheckpointWriter::next_ready() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ended_ || ready_; });
  return std::exchange(ready_, std::nullopt);
}

void CheckpointWriter::count(const std::string& path, const std::string& error) {
  if (!error.empty()) {
    tell(error);
  }
  const std::lock_guard lock(mutex_);
  under_way_ = false;
  if (error.empty()) {
    ++counts_.written;
    counts_.last = path;
  } else {
    ++counts_.failed;
    counts_.last_error = error;
  }
}

void CheckpointWriter::write(const PendingCheckpoint::Content& content,
                             const std::string& path) const {
  const fs::path partial = path + std::string(kPartialSuffix);
  fs::create_directory(partial);
  for (const auto& [label, part] : content.parts) {
    const fs::path folder = partial / label;
    fs::create_directory(folder);
    part(folder.string());
  }
  AtomicFile position((partial / "position.json").string());
  position.write(to_json(content.position));
  position.commit();
  write_checkpoint_files(partial.string());
  sync_tree(partial);
  fs::rename(partial, path);
  sync(options_.folder);
}

// Those that are too many stay where they cannot be removed.
void CheckpointWriter::remove_old() const {
  try {
    const auto checkpoints = list_checkpoints(options_.folder);
    for (std::size_t i = 0; i + static_cast<std::size_t>(options_.keep) < checkpoints.size(); ++i) {
      remove_checkpoint(fs::path(options_.folder) / checkpoints[i].second);
    }
  } catch (const std::exception& error) {
    tell(std::string("old checkpoints could not be removed: ") + error.what());
  }
}

void CheckpointWriter::tell(const std::string& problem) const {
  if (options_.on_problem) {
    options_.on_problem(problem);
  }
}

}  // namespace penstock
