#include "pipeline/continued_path.h"

#include <filesystem>

namespace penstock {

std::string continued_path(const std::string& path, std::int64_t next_batch) {
  std::filesystem::path continued(path);
  const std::string extension = continued.extension().string();
  continued.replace_extension(".from-batch-" + std::to_string(next_batch) + extension);
  return continued.string();
}

}  // namespace penstock
