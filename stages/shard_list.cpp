#include "stages/shard_list.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "pipeline/utf8.h"

namespace penstock {
namespace {

std::string quote(const std::string& path) {
  return "'" + escape_path(path) + "'";
}

// Open pipes that a shell hands over as "<(command)" have such names.
bool is_open_descriptor(const std::string& path) {
  return path == "/dev/stdin" || path.starts_with("/dev/fd/") || path.starts_with("/proc/self/fd/");
}

// Not a shard: hidden, or still being written.
bool is_passed_over(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name.ends_with(kPartialSuffix);
}

bool is_pattern(const std::string& path) {
  return path.find_first_of("*?[") != std::string::npos;
}

bool exists(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0;
}

// Why stat() failed, in words that fit symbolic links.
std::string describe_missing(const std::string& path, int error_number) {
  std::error_code no_link;
  const std::string target = std::filesystem::read_symlink(path, no_link).string();
  if (no_link || (error_number != ENOENT && error_number != ELOOP)) {
    return quote(path) + ": " + error_text(error_number);
  }
  return error_number == ELOOP
             ? quote(path) + " is a symbolic link that leads back to itself"
             : quote(path) + " is a symbolic link to " + quote(target) + ", which does not exist";
}

class Lister {
 public:
  void add(const std::string& path) {
    if (path == kStandardInput) {
      add_standard_input();
    } else if (is_pattern(path) && !exists(path)) {
      add_matches(path);
    } else if (const auto status = look_at(path); status && S_ISDIR(status->st_mode)) {
      add_folder(path);
    } else if (status) {
      add_file(path, *status);
    }
  }

  ShardList take() && { return std::move(list_); }

 private:
  using File = std::pair<dev_t, ino_t>;

  std::optional<struct stat> look_at(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) {
      list_.problems.push_back(describe_missing(path, errno));
      return std::nullopt;
    }
    return status;
  }

  void add_standard_input() {
    struct stat status {};
    if (fstat(STDIN_FILENO, &status) != 0) {
      list_.problems.push_back("'-' (standard input): " + error_text(errno));
    } else if (S_ISDIR(status.st_mode)) {
      list_.problems.emplace_back("'-' (standard input) is a folder: list it by its name");
    } else {
      add_shard(kStandardInput, std::nullopt);
    }
  }

  void add_matches(const std::string& pattern) {
    glob_t found{};
    // Unsafe among threads only with flags that are not used here (GLOB_TILDE).
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    const int code = glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
    const int error_number = errno;
    std::vector<std::string> matches(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    globfree(&found);
    if (code == GLOB_ABORTED) {
      list_.problems.push_back(
          quote(pattern) + ": cannot read a folder of the pattern: " + error_text(error_number));
    } else if (matches.empty()) {
      list_.problems.push_back(quote(pattern) + " matches no file");
    }
    std::sort(matches.begin(), matches.end());
    for (const std::string& match : matches) {
      const auto status = look_at(match);
      if (status && S_ISDIR(status->st_mode)) {
        list_.problems.push_back(quote(match) + ", which " + quote(pattern) +
                                 " matches, is a folder: list it by its own name, or write a "
                                 "pattern that matches files only");
      } else if (status) {
        add_file(match, *status);
      }
    }
  }

  void add_folder(const std::string& folder) {
    std::vector<std::string> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      if (!is_passed_over(entry->path())) {
        paths.push_back(entry->path().string());
      }
    }
    if (error) {
      list_.problems.push_back("cannot read the folder " + quote(folder) + ": " + error.message());
      return;
    }
    std::sort(paths.begin(), paths.end());
    const std::size_t before = list_.shards.size() + list_.problems.size();
    for (const std::string& path : paths) {
      const auto status = look_at(path);
      if (status && S_ISREG(status->st_mode)) {
        add_file(path, *status);
      }
    }
    if (list_.shards.size() + list_.problems.size() == before) {
      list_.problems.push_back("the folder " + quote(folder) + " holds no file");
    }
  }

  void add_file(const std::string& path, const struct stat& status) {
    if (S_ISREG(status.st_mode)) {
      add_regular_file(path, status);
    } else if (S_ISFIFO(status.st_mode) && is_open_descriptor(path)) {
      add_shard(path, std::nullopt);
    } else if (S_ISFIFO(status.st_mode)) {
      list_.problems.push_back(quote(path) +
                               " is a named pipe: pass its content on standard input and list '-'");
    } else {
      list_.problems.push_back(quote(path) + " is neither a file nor a folder");
    }
  }

  void add_regular_file(const std::string& path, const struct stat& status) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
      list_.problems.push_back("cannot open " + quote(path) + ": " + error_text(errno));
      return;
    }
    close(descriptor);
    const auto [first, is_new] = files_.emplace(File(status.st_dev, status.st_ino), path);
    if (is_new) {
      add_shard(path, status.st_size);
    } else if (first->second == path) {
      list_.problems.push_back(quote(path) + " is listed twice");
    } else {
      list_.problems.push_back(quote(path) + " is the same file as " + quote(first->second) +
                               ", which is listed before it");
    }
  }

  void add_shard(const std::string& path, std::optional<std::int64_t> size) {
    auto name = path == kStandardInput ? "(standard input)" : escape_path(path);
    list_.shards.push_back({path, std::make_shared<const std::string>(std::move(name)), size});
  }

  ShardList list_;
  std::map<File, std::string> files_;  // and the path that named each first
};

}  // namespace

ShardList list_shards(const std::vector<std::string>& paths) {
  if (paths.size() > 1 && std::find(paths.begin(), paths.end(), kStandardInput) != paths.end()) {
    return {{}, {"'-' (standard input) cannot be listed together with other paths"}};
  }
  Lister lister;
  for (const std::string& path : paths) {
    lister.add(path);
  }
  return std::move(lister).take();
}

std::string escape_path(const std::string& path) {
  constexpr char kDigits[] = "0123456789abcdef";
  const bool is_readable = is_utf8(path);
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_readable)) {
      text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace penstock
