#include "pipeline/plugin_loader.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include <dlfcn.h>
#include <link.h>

#include "pipeline/errors.h"
#include "pipeline/interface_version.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMarkBegin = "penstock interface version: ";
constexpr const char* kEntry = "penstock_register_stages";
using Entry = void (*)(StageRegistry&);

struct Close {
  void operator()(void* library) const { ::dlclose(library); }
};
using Library = std::unique_ptr<void, Close>;

// Loads one plug-in.
class PluginLoader {
 public:
  PluginLoader(std::string written, const std::string& folder)
      : written_(std::move(written)),
        name_(fs::path(written_).filename().string()),
        folder_(folder.empty() ? "." : folder) {}

  void load(StageRegistry& registry) const {
    if (written_.empty() || name_.empty()) {
      throw error("is no path of a file");
    }
    const std::optional<std::string> path = find();
    if (path) {
      check_file(*path);
    }
    Library library(::dlopen(path ? path->c_str() : written_.c_str(), RTLD_NOW | RTLD_LOCAL));
    if (!library) {
      throw path ? error(std::string("cannot be loaded: ") + ::dlerror())
                 : error("is neither in '" + folder_ +
                         "' nor found by the system's loader: " + ::dlerror());
    }
    if (!path) {
      check_file(path_of(library.get()));
    }
    const Entry entry = entry_of(library.get());
    // Stays loaded: its stages may live as long as the process, and so may what it throws.
    static_cast<void>(library.release());
    try {
      registry.add_plugin(name_, entry);
    } catch (...) {
      std::throw_with_nested(error("cannot register its stages"));
    }
  }

 private:
  PluginError error(const std::string& problem) const {
    return PluginError("plug-in '" + written_ + "' " + problem);
  }

  // Nothing where it is left to the loader.
  std::optional<std::string> find() const {
    const fs::path path = without_dots(fs::path(folder_) / written_);
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) {
      return fs::absolute(path).string();
    }
    if (fs::exists(path, ignored)) {
      throw error("is no file: '" + path.string() + "'");
    }
    if (written_.find('/') != std::string::npos) {
      throw error("is not there: no file '" + path.string() + "'");
    }
    return std::nullopt;
  }

  // "././x.so" is "x.so". What ".." leads to is up to symbolic links, so it stays.
  static fs::path without_dots(const fs::path& path) {
    fs::path shorter;
    for (const fs::path& part : path) {
      if (part != ".") {
        shorter /= part;
      }
    }
    return shorter.empty() ? path : shorter;
  }

  static std::string path_of(void* library) {
    const link_map* map = nullptr;
    ::dlinfo(library, RTLD_DI_LINKMAP, &map);
    return map->l_name;
  }

  void check_file(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (!file) {
      throw error("cannot be read: '" + path + "'");
    }
    if (!bytes.starts_with("\x7f"
                           "ELF")) {
      throw error("is no shared library: '" + path + "'");
    }
    bool is_plugin = false;
    for (std::size_t at = bytes.find(kMarkBegin); at != std::string::npos;
         at = bytes.find(kMarkBegin, at + 1)) {
      const std::string version = bytes.c_str() + at + kMarkBegin.size();
      if (version.empty()) {
        continue;  // what this file looks for
      }
      is_plugin = true;
      if (version != interface_version()) {
        throw error("is built for the interface version " + version + ", but this penstock has " +
                    interface_version() + "; build it again with the headers of this penstock");
      }
    }
    if (!is_plugin) {
      throw error(
          "is a shared library, but no plug-in: none of its sources includes "
          "pipeline/plugin.h");
    }
  }

  Entry entry_of(void* library) const {
    const auto entry = reinterpret_cast<Entry>(::dlsym(library, kEntry));
    if (entry == nullptr) {
      throw error(std::string("has no function ") + kEntry + "; see pipeline/plugin.h");
    }
    return entry;
  }

  const std::string written_;
  const std::string name_;  // of the file: what messages about its stages say
  const std::string folder_;
};

}  // namespace

std::string interface_version() {
  return kInterfaceMark + kMarkBegin.size();
}

void load_plugin(const std::string& file, const std::string& folder, StageRegistry& registry) {
  PluginLoader(file, folder).load(registry);
}

}  // namespace penstock
