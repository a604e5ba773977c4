#pragma once

#include <string>

namespace penstock {

// A named pipe at `path` that nobody reads: whoever writes more to it than it holds hangs.
class UnreadPipe {
 public:
  explicit UnreadPipe(const std::string& path);
  // Returns when something has been written to it.
  void wait_for_output();
  // Whoever writes to it from now on hangs.
  void fill();
  ~UnreadPipe();
  UnreadPipe(const UnreadPipe&) = delete;
  UnreadPipe& operator=(const UnreadPipe&) = delete;

 private:
  int descriptor_ = -1;
};

// A terminal whose other side is here.
class Terminal {
 public:
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  const std::string& path() const { return path_; }
  // Returns when something has been written to it.
  void wait_for_output();
  // As Ctrl-S does: whoever writes to it from now on hangs.
  void stop_output();

 private:
  int here_ = -1;
  int there_ = -1;
  std::string path_;
};

// Tells when a file gets a name in a folder.
class FolderWatch {
 public:
  explicit FolderWatch(const std::string& folder);
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Returns when a file has been renamed to `name` since the construction.
  void wait_for(const std::string& name);

 private:
  int descriptor_ = -1;
};

}  // namespace penstock
