#include "pipeline/checkpoint_folder.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>

#include "pipeline/checkpoint_files.h"
#include "pipeline/errors.h"

namespace penstock {
namespace {

constexpr std::string_view kPrefix = "batch-";
constexpr std::size_t kDigits = 12;
constexpr const char* kPositionFile = "position.json";

std::optional<std::int64_t> next_batch_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(kPrefix.size());
  std::int64_t next_batch = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), next_batch);
  const bool is_name = error == std::errc() && checkpoint_name(next_batch) == name;
  return is_name ? std::optional(next_batch) : std::nullopt;
}

}  // namespace

std::string checkpoint_name(std::int64_t next_batch) {
  const std::string digits = std::to_string(next_batch);
  return std::string(kPrefix) + std::string(kDigits - std::min(kDigits, digits.size()), '0') +
         digits;
}

std::vector<std::pair<std::int64_t, std::string>> list_checkpoints(const std::string& folder) {
  std::vector<std::pair<std::int64_t, std::string>> checkpoints;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code unknown;
    const std::optional<std::int64_t> next_batch = next_batch_of(name);
    if (next_batch && entry->is_directory(unknown)) {
      checkpoints.emplace_back(*next_batch, name);
    }
  }
  if (error) {
    throw FileError("cannot read the folder of checkpoints '" + folder + "': " + error.message());
  }
  std::sort(checkpoints.begin(), checkpoints.end());
  return checkpoints;
}

ResumePoint read_checkpoint(const std::string& path) {
  const std::string position_path = path + "/" + kPositionFile;
  std::ifstream file(position_path, std::ios::binary);
  const std::string json{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    throw FileError("'" + path + "' is no checkpoint: cannot read '" + position_path + "'");
  }
  const std::string unusable = "the checkpoint '" + path + "' cannot be used: ";
  ResumePoint point{{}, path};
  try {
    point.position = parse_stream_position(json);
  } catch (const std::exception& error) {
    throw FileError(unusable + "its " + kPositionFile + ": " + error.what());
  }
  try {
    check_checkpoint_files(path);
  } catch (const FileError& error) {
    throw FileError(unusable + error.what());
  }
  return point;
}

FoundCheckpoint latest_checkpoint(const std::string& folder) {
  std::vector<std::string> warnings;
  const auto checkpoints = list_checkpoints(folder);
  for (auto checkpoint = checkpoints.rbegin(); checkpoint != checkpoints.rend(); ++checkpoint) {
    try {
      return {read_checkpoint(folder + "/" + checkpoint->second), std::move(warnings)};
    } catch (const FileError& error) {
      warnings.emplace_back(error.what());
    }
  }
  std::string text = "there is no checkpoint in '" + folder + "'";
  for (const std::string& warning : warnings) {
    text += "; " + warning;
  }
  throw FileError(text);
}

FoundCheckpoint find_checkpoint(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::exists(path + "/" + kPositionFile, unknown)) {
    return {read_checkpoint(path), {}};
  }
  return latest_checkpoint(path);
}

}  // namespace penstock
