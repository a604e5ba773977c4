#include "apps/new_stage_command.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "apps/exit_status.h"
#include "apps/new_stage_files.h"
#include "apps/standard_streams.h"
#include "pipeline/errors.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestName = 60;
// Targets that CMake has itself, and the file name of Penstock's own library.
constexpr std::array<std::string_view, 9> kTakenNames = {"all",
                                                         "clean",
                                                         "edit_cache",
                                                         "help",
                                                         "install",
                                                         "package",
                                                         "penstock",
                                                         "rebuild_cache",
                                                         "test"};

// Why a stage cannot have this name; nothing where it can.
std::string name_problem(const std::string& name, const StageRegistry& registry) {
  if (!is_stage_name(name) || name.size() > kLongestName) {
    return "a name begins with a lower-case letter and goes on with up to " +
           std::to_string(kLongestName - 1) + " more, digits and '_'";
  }
  if (const StageType* type = registry.find(name)) {
    return type->plugin.empty() ? "Penstock has a stage of this name"
                                : "plug-in " + type->plugin + " has a stage of this name";
  }
  if (std::count(kTakenNames.begin(), kTakenNames.end(), name) > 0) {
    return "CMake or Penstock has a file or target of this name";
  }
  return "";
}

void write_file(const fs::path& path, const std::string& text) {
  errno = 0;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) {
    throw FileError("cannot write '" + path.string() + "': " + error_text(errno));
  }
}

// Of the Penstock that runs, where neither CMake nor the shell may find it by itself; else empty.
fs::path own_prefix() {
  std::error_code ignored;
  fs::path prefix = fs::read_symlink("/proc/self/exe", ignored).parent_path().parent_path();
  const bool is_found = prefix == "/usr" || prefix == "/usr/local";
  return !is_found && fs::exists(prefix / "lib/cmake/penstock", ignored) ? prefix : fs::path();
}

int refuse(const std::string& problem) {
  write_standard_error("penstock: " + problem + '\n');
  return kExitUsage;
}

}  // namespace

int new_stage_command(const std::string& name,
                      const std::string& kind,
                      const StageRegistry& registry) {
  const std::string problem = name_problem(name, registry);
  if (!problem.empty()) {
    return refuse("a stage cannot be called '" + name + "': " + problem);
  }
  std::error_code error;
  if (fs::exists(fs::symlink_status(name, error))) {
    return refuse("'" + name + "' exists already, and nothing is written over");
  }
  if (!fs::create_directory(name, error)) {
    throw FileError("cannot make the folder '" + name + "': " + error.message());
  }
  std::string text =
      "The folder " + name + " is a project for the " + kind + " stage '" + name + "':\n\n";
  for (const NewFile& file : new_stage_files(name, kind)) {
    write_file(fs::path(name) / file.path, file.text);
    text += "  " + file.path + '\n';
  }
  const fs::path prefix = own_prefix();
  text += "\nBuild it, test it and run it:\n\n  cd " + name + "\n  cmake -B build" +
          (prefix.empty() ? "" : " -DCMAKE_PREFIX_PATH=" + prefix.string()) +
          " && cmake --build build && ctest --test-dir build\n  " +
          (prefix.empty() ? "penstock" : (prefix / "bin/penstock").string()) + " run " + name +
          ".yaml\n";
  write_standard_output(text);
  return kExitSuccess;
}

}  // namespace penstock
