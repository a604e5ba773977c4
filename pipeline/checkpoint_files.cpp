#include "pipeline/checkpoint_files.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>
#include <zlib.h>

#include "pipeline/atomic_file.h"
#include "pipeline/errors.h"
#include "pipeline/json_damage.h"

namespace penstock {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kFileList = "files.json";
constexpr std::size_t kReadBytes = std::size_t{1} << 20;

struct FileContent {
  std::int64_t bytes = 0;
  std::uint32_t crc32 = 0;
};

FileContent content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  FileContent content;
  std::vector<char> block(kReadBytes);
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    content.bytes += file.gcount();
    content.crc32 = static_cast<std::uint32_t>(::crc32(content.crc32,
                                                       reinterpret_cast<const Bytef*>(block.data()),
                                                       static_cast<uInt>(file.gcount())));
  }
  if (!file.eof()) {
    throw FileError("cannot read '" + path.string() + "': " + error_text(errno));
  }
  return content;
}

std::map<std::string, FileContent> read_list(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    throw FileError("cannot read '" + path.string() + "': " + error_text(errno));
  }
  try {
    std::map<std::string, FileContent> files;
    const Json list = Json::parse(text);
    for (const Json& entry : list.at("files")) {
      files[entry.at("path").get<std::string>()] = {entry.at("bytes").get<std::int64_t>(),
                                                    entry.at("crc32").get<std::uint32_t>()};
    }
    return files;
  } catch (const Json::exception& error) {
    throw FileError("'" + path.string() + "' is damaged: " + describe_json_damage(error));
  }
}

}  // namespace

void write_checkpoint_files(const std::string& checkpoint) {
  std::map<std::string, FileContent> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(checkpoint)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), checkpoint).generic_string()] = content_of(entry.path());
    }
  }
  Json list = Json::array();
  for (const auto& [path, content] : files) {
    list.push_back({{"path", path}, {"bytes", content.bytes}, {"crc32", content.crc32}});
  }
  AtomicFile file((fs::path(checkpoint) / kFileList).string());
  file.write(Json{{"files", std::move(list)}}.dump(1) + '\n');
  file.commit();
}

void check_checkpoint_files(const std::string& checkpoint) {
  for (const auto& [path, written] : read_list(fs::path(checkpoint) / kFileList)) {
    const fs::path whole = fs::path(checkpoint) / path;
    const FileContent found = content_of(whole);
    if (found.bytes != written.bytes) {
      throw FileError("'" + whole.string() + "' is damaged: it has " + std::to_string(found.bytes) +
                      " bytes, and had " + std::to_string(written.bytes) + " when it was written");
    }
    if (found.crc32 != written.crc32) {
      throw FileError("'" + whole.string() +
                      "' is damaged: its checksum is another one than when "
                      "it was written");
    }
  }
}

}  // namespace penstock
