#include "tests/fuzz/model_paths.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace penstock {

std::vector<std::string> model_paths() {
  namespace fs = std::filesystem;
  std::vector<fs::path> folders = {PENSTOCK_SOURCE_DIR "/tests/data/models",
                                   PENSTOCK_SOURCE_DIR "/data/sample"};
  if (const char* const folder = std::getenv("PENSTOCK_FUZZ_MODELS")) {  // NOLINT
    folders = {folder};
  }
  std::vector<fs::path> models;
  for (const fs::path& folder : folders) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() == ".model") {
        models.push_back(entry.path());
      }
    }
  }
  std::sort(models.begin(), models.end(), [](const fs::path& a, const fs::path& b) {
    return a.filename() < b.filename();
  });
  return {models.begin(), models.end()};
}

}  // namespace penstock
